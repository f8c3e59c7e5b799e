//! Named groups of countries for fences and routing: unions, treaties and customary regions.
//!
//! Each group has the members that its source lists on the date given beside it. When a group
//! changes, this file changes. A territory with an ISO 3166-1 code of its own is listed by that
//! code, because geodata use it for clients there. There is no group MENA, because every
//! organisation defines it differently.

use crate::geo::PlaceCode;

/// A named group of countries.
#[derive(Debug, PartialEq, Eq)]
pub struct CountryGroup {
    /// The name in a configuration: `EU-27`.
    pub name: &'static str,
    /// ISO 3166-1 alpha-2 codes, in lists.
    lists: &'static [&'static str],
    /// Who says so, and since when it is so.
    pub source: &'static str,
}

/// The European Union. Its law also applies in its outermost regions and Åland (Articles 349 and
/// 355 TFEU).
const UNION: &str =
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK";
const UNION_OUTERMOST: &str = "AX GF GP MF MQ RE YT";
const EEA_BEYOND_UNION: &str = "IS LI NO";

/// Every group, by name.
pub const GROUPS: [CountryGroup; 14] = [
    CountryGroup {
        name: "ASEAN",
        lists: &["BN ID KH LA MM MY PH SG TH TL VN"],
        source: "asean.org; with Timor-Leste, a member since 2025-10-26",
    },
    CountryGroup {
        name: "BALTICS",
        lists: &["EE LT LV"],
        source: "Baltic Assembly, since 1991-11-08",
    },
    CountryGroup {
        name: "BENELUX",
        lists: &["BE LU NL"],
        source: "Benelux Union, treaty of 2008-06-17",
    },
    CountryGroup {
        name: "DACH",
        lists: &["AT CH DE"],
        source: "customary: Germany, Austria, Switzerland",
    },
    CountryGroup {
        name: "EEA",
        lists: &[UNION, UNION_OUTERMOST, EEA_BEYOND_UNION],
        source: "EEA Agreement; the Union as EU-27 has it, Iceland, Liechtenstein, Norway; without the United Kingdom \
                 since 2021-01-01",
    },
    CountryGroup {
        name: "EFTA",
        lists: &["CH IS LI NO"],
        source: "EFTA Convention; these four since 1995-01-01",
    },
    CountryGroup {
        name: "EU-27",
        lists: &[UNION, UNION_OUTERMOST],
        source: "Treaty on European Union, Article 52; without the United Kingdom since 2020-02-01",
    },
    CountryGroup {
        name: "GCC",
        lists: &["AE BH KW OM QA SA"],
        source: "Gulf Cooperation Council, charter of 1981-05-25",
    },
    CountryGroup {
        name: "GDPR",
        lists: &[UNION, UNION_OUTERMOST, EEA_BEYOND_UNION],
        source: "where Regulation (EU) 2016/679 is law: the EEA, by Joint Committee decision 154/2018 since 2018-07-20; \
                 the United Kingdom and Switzerland have laws of their own",
    },
    CountryGroup {
        name: "LATAM",
        lists: &[
            "BZ CR GT HN MX NI PA SV",
            "AR BO BR BV CL CO EC FK GF GS GY PE PY SR UY VE",
            "AG AI AW BB BL BQ BS CU CW DM DO GD GP HT JM KN KY LC MF MQ MS PR SX TC TT VC VG VI",
        ],
        source: "Latin America and the Caribbean, United Nations M49 code 419, as of 2024-01-01",
    },
    CountryGroup {
        name: "NORDICS",
        lists: &["AX DK FI FO GL IS NO SE"],
        source: "Nordic cooperation, Helsinki Treaty of 1962-03-23 with the Faroes, Greenland and Åland",
    },
    CountryGroup {
        name: "SCHENGEN",
        lists: &[
            "AT AX BE BG CH CZ DE DK EE ES FI FR GR HR HU IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK",
        ],
        source: "Schengen area; with Bulgaria and Romania in full since 2025-01-01",
    },
    CountryGroup {
        name: "UK-AND-DEPENDENCIES",
        lists: &["GB GG IM JE"],
        source: "the United Kingdom and the Crown Dependencies; without the overseas territories",
    },
    CountryGroup {
        name: "USMCA",
        lists: &["CA MX US"],
        source: "Agreement between the United States, Mexico and Canada, since 2020-07-01",
    },
];

/// The group of this name, in any case.
pub fn find(name: &str) -> Option<&'static CountryGroup> {
    GROUPS
        .iter()
        .find(|group| group.name.eq_ignore_ascii_case(name))
}

impl CountryGroup {
    /// Its countries, ISO 3166-1 alpha-2.
    pub fn countries(&self) -> impl Iterator<Item = PlaceCode> {
        let codes = self.lists.iter().flat_map(|list| list.split(' '));
        codes.filter_map(|code| code.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::geo::locations;

    #[test]
    fn every_member_is_a_country_and_each_is_there_once() {
        for group in &GROUPS {
            let countries: Vec<PlaceCode> = group.countries().collect();
            let unique: BTreeSet<PlaceCode> = countries.iter().copied().collect();
            assert_eq!(countries.len(), unique.len(), "{}", group.name);
            let unknown: Vec<&PlaceCode> = unique
                .iter()
                .filter(|code| locations::country_name(**code).is_none())
                .collect();
            assert!(unknown.is_empty(), "{}: {unknown:?}", group.name);
            assert!(!group.source.is_empty());
        }
        assert!(GROUPS.is_sorted_by_key(|group| group.name));
    }

    #[test]
    fn groups_have_as_many_members_as_their_sources_say() {
        let states = |name: &str| find(name).unwrap().countries().count();
        assert_eq!(states("eu-27") - UNION_OUTERMOST.split(' ').count(), 27);
        assert_eq!(states("EEA") - states("EU-27"), 3);
        assert_eq!(states("GDPR"), states("EEA"));
        assert!(
            find("GDPR")
                .unwrap()
                .countries()
                .all(|country| country.as_str() != "GB")
        );
        // Åland has a code of its own.
        assert_eq!(
            (states("SCHENGEN"), states("ASEAN"), states("NORDICS")),
            (29 + 1, 11, 5 + 3)
        );
        assert!(find("MENA").is_none());
    }
}
