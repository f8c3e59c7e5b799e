"""What the packages do not know or get wrong, written by hand. Every entry is a fact, with its reason beside it."""

# Country codes that no city of the source belongs to: (continent, latitude, longitude).
COUNTRIES_WITHOUT_CITIES = {
    "AN": ("NA", 12.11, -68.93),  # Netherlands Antilles, dissolved in 2010: Willemstad
    "AQ": ("AN", -77.85, 166.67),  # Antarctica: McMurdo Station, where most of its people are
    "BV": ("AN", -54.42, 3.36),  # Bouvet Island, uninhabited
    "CC": ("AS", -12.16, 96.83),  # Cocos (Keeling) Islands
    "CS": ("EU", 44.80, 20.47),  # Serbia and Montenegro, dissolved in 2006: Belgrade
    "HM": ("AN", -53.10, 73.51),  # Heard and McDonald Islands, uninhabited
    "IO": ("AS", -7.31, 72.42),  # British Indian Ocean Territory: Diego Garcia
    "TK": ("OC", -9.20, -171.85),  # Tokelau
    "UM": ("OC", 19.28, 166.65),  # United States minor outlying islands: Wake Island
}

# Country names as the cloud table writes them.
COUNTRY_NAMES = {"Hong Kong SAR": "HK", "Netherlands": "NL", "Czech Republic": "CZ"}

# Providers whose table names sales areas rather than data centres.
PROVIDERS_LEFT_OUT = {"onedrive"}

# Regions whose row is missing or stands somewhere else than the provider says: the city the provider names.
CLOUD_REGIONS = {
    # The source puts both on the middle of the United States. AWS says Ohio and the north-west.
    ("aws", "us-gov-east-1"): ("Columbus", "US", "AWS GovCloud (US-East)"),
    ("aws", "us-gov-west-1"): ("Portland", "US", "AWS GovCloud (US-West)"),
    # Montreal, not Toronto; Aragon, not Madrid.
    ("aws", "ca-central-1"): ("Montréal", "CA", "Canada (Central)"),
    ("aws", "eu-south-2"): ("Zaragoza", "ES", "Europe (Spain)"),
    # Younger than the source.
    ("aws", "ca-west-1"): ("Calgary", "CA", "Canada West (Calgary)"),
    ("aws", "mx-central-1"): ("Querétaro", "MX", "Mexico (Central)"),
    ("aws", "ap-east-2"): ("Taipei", "TW", "Asia Pacific (Taipei)"),
    ("aws", "ap-southeast-5"): ("Kuala Lumpur", "MY", "Asia Pacific (Malaysia)"),
    ("aws", "ap-southeast-6"): ("Auckland", "NZ", "Asia Pacific (New Zealand)"),
    ("aws", "ap-southeast-7"): ("Bangkok", "TH", "Asia Pacific (Thailand)"),
    # The source puts these on the middle of the country's north and south.
    ("azure", "francecentral"): ("Paris", "FR", "France Central"),
    ("azure", "francesouth"): ("Marseille", "FR", "France South"),
    # Younger than the source.
    ("azure", "spaincentral"): ("Madrid", "ES", "Spain Central"),
    ("azure", "newzealandnorth"): ("Auckland", "NZ", "New Zealand North"),
    ("azure", "austriaeast"): ("Vienna", "AT", "Austria East"),
    ("azure", "westcentralus"): ("Cheyenne", "US", "West Central US"),
    ("gcp", "us-east5"): ("Columbus", "US", "Columbus"),
    ("gcp", "us-south1"): ("Dallas", "US", "Dallas"),
    ("gcp", "northamerica-northeast1"): ("Montréal", "CA", "Montréal"),
    ("gcp", "northamerica-northeast2"): ("Toronto", "CA", "Toronto"),
    ("gcp", "northamerica-south1"): ("Querétaro", "MX", "Querétaro"),
    ("gcp", "europe-central2"): ("Warsaw", "PL", "Warsaw"),
    ("gcp", "europe-north2"): ("Stockholm", "SE", "Stockholm"),
    ("gcp", "europe-southwest1"): ("Madrid", "ES", "Madrid"),
    ("gcp", "europe-west8"): ("Milan", "IT", "Milan"),
    ("gcp", "europe-west9"): ("Paris", "FR", "Paris"),
    ("gcp", "europe-west10"): ("Berlin", "DE", "Berlin"),
    ("gcp", "europe-west12"): ("Turin", "IT", "Turin"),
    ("gcp", "me-central1"): ("Doha", "QA", "Doha"),
    ("gcp", "me-central2"): ("Dammam", "SA", "Dammam"),
    ("gcp", "africa-south1"): ("Johannesburg", "ZA", "Johannesburg"),
    # Riyadh, not Doha.
    ("alibaba", "me-central-1"): ("Riyadh", "SA", "Riyadh"),
}

# Subdivisions whose name in GeoNames and in CLDR differ by more than spelling, or where a smaller place has the same
# name: country -> {GeoNames name: ISO 3166-2}.
SUBDIVISIONS = {
    "AL": {"Tirana": "11"},
    "AR": {"Buenos Aires": "B", "Buenos Aires F.D.": "C"},
    "AZ": {"Nakhchivan": "NX", "Shaki": "SAK", "Shaki City": "SA"},
    "BD": {"Barisal Division": "A", "Chittagong": "B"},
    "BG": {"Sofia": "23", "Sofia-Capital": "22"},
    "BY": {"Minsk": "MI", "Minsk City": "HM"},
    "CI": {
        "Bas-Sassandra District": "BS", "Denguélé District": "DN", "Lacs District": "LC", "Lagunes District": "LG",
        "Vallée du Bandama District": "VB", "Zanzan District": "ZZ",
    },
    "CN": {"Inner Mongolia": "NM"},
    "CO": {"Bogota D.C.": "DC", "San Andres y Providencia": "SAP"},
    "CZ": {
        "Carlsbad Region": "41", "Central Bohemia": "20", "Hradec Králové Region": "52", "Liberec Region": "51",
        "Moravian-Silesian Region": "80", "Olomouc Region": "71", "Pardubice Region": "53",
        "Plzeň Region": "32", "Plzen Region": "32", "Prague": "10", "South Bohemian Region": "31",
        "South Moravian": "64", "Vysočina Region": "63", "Zlín Region": "72",
    },
    "DE": {"Rheinland-Pfalz": "RP"},
    "DK": {"North Denmark": "81", "Central Jutland": "82", "South Denmark": "83"},
    "EE": {"Harjumaa": "37", "Hiiumaa": "39", "Lääne": "56", "Tartu": "79", "Viljandimaa": "84"},
    "ES": {"Madrid": "MD", "Murcia": "MC", "Valencia": "VC",
           "Castille and León": "CL", "Castille-La Mancha": "CM", "Navarre": "NC"},
    "FI": {
        "Kanta-Häme": "06", "North Ostrobothnia": "14", "North Savo": "15", "Paijat-Hame": "16",
        "South Ostrobothnia": "03", "South Savo": "04",
    },
    "FR": {
        "Bourgogne-Franche-Comté": "BFC", "Corsica": "20R", "New Aquitaine": "NAQ", "Normandy": "NOR",
        "Île-de-France": "IDF",
    },
    "GN": {"Faranah": "F", "Kindia": "D"},
    "HU": {"Veszprém": "VE"},
    "IN": {"Uttarakhand": "UK", "Chhattisgarh": "CG", "Telangana": "TS"},
    "IR": {
        "Alborz Province": "30", "Ardabil Province": "24", "Bushehr": "18", "Chaharmahal and Bakhtiari": "14",
        "East Azerbaijan": "03", "Fars": "07", "Gilan Province": "01", "Hamadan Province": "13", "Hormozgan": "22",
        "Ilam Province": "16", "Isfahan": "10", "Kerman": "08", "Kermanshah Province": "05", "Khuzestan": "06",
        "Kohgiluyeh and Boyer-Ahmad": "17", "Kurdistan Province": "12", "Lorestan Province": "15",
        "Māzandarān": "02", "North Khorasan": "28", "Qazvin Province": "26", "Qom Province": "25",
        "Razavi Khorasan": "09", "Semnan": "20", "Sistan and Baluchestan": "11", "Tehran": "23",
        "Yazd Province": "21", "Zanjan": "19", "West Azerbaijan": "04", "Markazi": "00",
        "South Khorasan Province": "29", "South Khorasan": "29", "Golestan": "27",
    },
    "IT": {"Basilicate": "77", "The Marches": "57", "Trentino-Alto Adige": "32"},
    "KR": {
        "Chungcheongbuk-do": "43", "North Chungcheong": "43", "Chungcheongnam-do": "44", "Gangwon-do": "42",
        "Gyeonggi-do": "41", "Gyeongsangbuk-do": "47", "Gyeongsangnam-do": "48", "Jeju-do": "49", "Jeollabuk-do": "45",
        "Jeollanam-do": "46", "Sejong-si": "50",
    },
    "KZ": {
        "Abai Region": "10", "Aqmola": "11", "Atyrau Oblisi": "23", "Karaganda": "35", "Turkistan": "61",
        "Ulytau Region": "62", "Zhambyl": "31", "Zhetysu Region": "33", "West Kazakhstan": "27", "Mangystau": "47",
        "Aktobe": "15", "East Kazakhstan": "63", "North Kazakhstan": "59", "Kyzylorda": "43", "Kostanay": "39",
        "Almaty Region": "19", "Pavlodar Region": "55",
    },
    "LA": {"Vientiane": "VI", "Vientiane Prefecture": "VT"},
    "LT": {
        "Alytus": "AL", "Kaunas": "KU", "Panevėžys": "PN", "Siauliai": "SA", "Telsiai": "TE", "Utena": "UT",
        "Vilnius": "VL",
    },
    "LV": {"Valmiera": "113"},
    "MA": {
        "Tanger-Tetouan-Al Hoceima": "01", "Oriental": "02", "Fes-Meknes": "03", "Rabat-Salé-Kénitra": "04",
        "Beni Mellal-Khenifra": "05", "Casablanca-Settat": "06", "Marrakesh-Safi": "07", "Drâa-Tafilalet": "08",
        "Souss-Massa": "09", "Guelmim-Oued Noun": "10", "Laayoune-Sakia El Hamra": "11",
        "Dakhla-Oued Ed-Dahab": "12",
    },
    "MK": {"Debarca": "304", "Mavrovo and Rostuša": "607"},
    "MU": {"Port Louis": "PL"},
    "MX": {"Mexico City": "CMX", "México": "MEX"},
    "NP": {
        "Koshi": "P1", "Madhesh": "P2", "Bagmati Province": "P3", "Bagmati Pradesh": "P3", "Bagmati": "P3",
        "Gandaki Pradesh": "P4", "Lumbini Province": "P5", "Lumbini Pradesh": "P5", "Lumbini": "P5",
        "Karnali Pradesh": "P6", "Sudurpashchim Pradesh": "P7",
    },
    "PH": {"National Capital Region": "00", "Autonomous Region in Muslim Mindanao": "14"},
    "PL": {"Kujawsko-Pomorskie": "04", "Podlasie": "20", "Świętokrzyskie": "26"},
    "RU": {
        "Adygeya Republic": "AD", "Altai": "AL", "Altai Krai": "ALT", "Arkhangelskaya": "ARK",
        "Buryatiya Republic": "BU", "Chechnya": "CE", "Chelyabinsk": "CHE", "Chukotka": "CHU",
        "Ingushetiya Republic": "IN", "Kabardino-Balkariya Republic": "KB", "Kalmykiya Republic": "KL",
        "Karachayevo-Cherkesiya Republic": "KC", "Khakasiya Republic": "KK", "Khanty-Mansia": "KHM", "Kuzbass": "KEM",
        "Leningradskaya Oblast'": "LEN", "Mariy-El Republic": "ME", "Mordoviya Republic": "MO", "Moscow": "MOW",
        "Moscow Oblast": "MOS", "Primorye": "PRI", "Republic of Tyva": "TY", "St.-Petersburg": "SPE",
        "Udmurtiya Republic": "UD", "Yamalo-Nenets": "YAN", "Zabaykalskiy (Transbaikal) Kray": "ZAB",
    },
    "SA": {"Jazan Region": "09", "Mecca Region": "02", "Medina Region": "03"},
    "UA": {
        "Cherkasy": "71", "Chernihiv Oblast": "74", "Dnipropetrovsk": "12", "Donetsk": "14", "Ivano-Frankivsk": "26",
        "Kharkiv": "63", "Kherson": "65", "Khmelnytskyi": "68", "Kirovohrad": "35", "Kyiv City": "30",
        "Kyiv Oblast": "32", "Luhansk": "09", "Lviv": "46", "Mykolaiv": "48", "Odesa": "51", "Poltava": "53",
        "Rivne Oblast": "56", "Sumy": "59", "Ternopil": "61", "Vinnytsia": "05", "Zaporizhzhia": "23",
        "Zhytomyr Oblast": "18",
    },
    "VN": {"Ho Chi Minh City (HCMC)": "SG"},
}

# Countries that have renumbered their subdivisions since CLDR wrote its names down: its names are left out.
RENUMBERED = {"IR", "KZ", "MA", "NP"}

# Spellings of the geolocation databases that are neither GeoNames' nor CLDR's: country -> {spelling: ISO 3166-2}.
SPELLINGS = {
    "AT": {"State of Vienna": "9"},
    "AU": {"ACT": "ACT"},
    "BG": {"Sofia-grad": "22"},
    "CZ": {"Hlavni mesto Praha": "10"},
    "DE": {"Free and Hanseatic City of Hamburg": "HH", "Free Hanseatic City of Bremen": "HB"},
    "FI": {"Tampere": "11"},
    "FR": {"Rhone-Alpes": "ARA", "Bourgogne": "BFC", "Provence": "PAC"},
    "MX": {"State of Mexico": "MEX"},
    "RO": {"Bucuresti": "B"},
    "RU": {
        "Altay Kray": "ALT", "Arkhangelsk Oblast": "ARK", "Chuvashia": "CU", "Jaroslavl": "YAR",
        "Kemerovo Oblast": "KEM", "Krasnodarskiy": "KDA", "Krasnoyarskiy": "KYA", "North Ossetia": "SE",
        "Orel Oblast": "ORL", "Perm": "PER", "Primorskiy (Maritime) Kray": "PRI", "Saratovskaya Oblast": "SAR",
        "Smolenskaya Oblast": "SMO", "Stavropol Kray": "STA", "Stavropol Krai": "STA",
        "Transbaikal Territory": "ZAB", "Tyumen’ Oblast": "TYU", "Tyva Republic": "TY", "Voronezj": "VOR",
    },
}

# Codes that ISO has replaced and databases still write: (country, former) -> present.
FORMER_CODES = {
    ("IN", "OR"): "OD",  # Odisha, 2023
    ("IN", "CT"): "CG",  # Chhattisgarh, 2023
    ("IN", "TG"): "TS",  # Telangana, 2023
    ("IN", "UT"): "UK",  # Uttarakhand, 2023
    ("MX", "DIF"): "CMX",  # Mexico City, 2016
}
