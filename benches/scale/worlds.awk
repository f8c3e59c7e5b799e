# The same World for each of three servers: awk -v server=meridian|gdnsd|knot|zone -v what=WHAT -v count=N -v port=PORT
# -v home=FOLDER -v databases=FILE[:FILE] -f worlds.awk. Of WHAT there are so many: rule-sets, regions, services, endpoints or
# records. `zone` prints the zone example.test as `to` (the name of a server) reads it. A World that a server cannot have
# ends with 3.

BEGIN {
    lay_out()
    if (server == "meridian") meridian()
    else if (server == "gdnsd") gdnsd()
    else if (server == "knot") knot()
    else zone()
}

# How many services there are, of which regions, with how many endpoints in each.
function lay_out(    names, at) {
    endpoints = 1
    if (what == "rule-sets") { services = count; regions = 12 }
    else if (what == "regions") { services = 1; regions = count }
    else if (what == "services") { services = count; regions = 6 }
    else if (what == "endpoints") { services = count / 10; regions = 2; endpoints = 5 }
    else { services = 0; regions = 0 }
    if (regions <= 12) {
        split("50.1,8.7 38.9,-77.4 19.1,72.9 35.7,139.7 -23.5,-46.6 45.8,-119.7 51.5,-0.1 59.3,18.1 32.8,-96.8 -26.2,28.0 " \
              "1.35,103.8 -33.9,151.2", places, " ")
    } else {
        # Evenly spread: equal steps of the sine of the latitude, and the golden angle around.
        for (at = 1; at <= regions; at++) {
            sine = 0.9 - 1.8 * (at - 0.5) / regions
            places[at] = sprintf("%.2f,%.2f", atan2(sine, sqrt(1 - sine * sine)) * 57.29578, at * 137.508 % 360 - 180)
        }
    }
}

# Whether a service has a region: all of them, but where every service differs in its regions.
function has(service, region) {
    return what != "rule-sets" || int(choice_of(service) / 2 ^ (region - 1)) % 2
}

# The regions of a service as bits: all for the first, then two or more in an order that looks random. 1303 is coprime to
# 4094, so none comes twice.
function choice_of(service) {
    if (service in choices) return choices[service]
    while (made <= service) {
        choice = drawn == 0 ? 4095 : (drawn * 1303) % 4094 + 1
        drawn++
        if (choice > 0 && log(choice) / log(2) != int(log(choice) / log(2))) choices[made++] = choice
    }
    return choices[service]
}

# Ten services have the same addresses, but where endpoints are counted.
function address(service, region, endpoint,    owner) {
    if (what == "regions") return sprintf("10.255.%d.1", region)
    owner = what == "endpoints" ? service : int(service / 10)
    return sprintf("10.%d.%d.%d", region * 16 + endpoint, int(owner / 250) % 256, owner % 250 + 1)
}

function addresses(service, region, quote,    list, endpoint) {
    for (endpoint = 0; endpoint < endpoints; endpoint++)
        list = list (endpoint ? ", " : "") quote address(service, region, endpoint) quote
    return "[" list "]"
}

function meridian(    service, region) {
    printf "[server]\nlisten = [\"127.0.0.1:%d\"]\nworkers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n", port
    if (databases != "" && what != "records") {
        gsub(":", "\", \"", databases)
        printf "[geo]\ndatabases = [\"%s\"]\n", databases
    }
    for (region = 1; region <= regions; region++) printf "[regions.r%d]\nlocation = [%s]\n", region, places[region]
    for (service = 0; what == "services" && service < services; service += 10) {
        printf "[pools.q%d]\n", service / 10
        for (region = 1; region <= regions; region++) printf "r%d = %s\n", region, addresses(service, region, "\"")
    }
    for (service = 0; service < services; service++) {
        printf "[[services]]\nname = \"s%d.example.test\"\n", service
        if (what == "services") { printf "pool = \"q%d\"\n", int(service / 10); continue }
        printf "[services.endpoints]\n"
        for (region = 1; region <= regions; region++)
            if (has(service, region)) printf "r%d = %s\n", region, addresses(service, region, "\"")
    }
}

function gdnsd(    service, region) {
    printf "options => {\n  listen => { 127.0.0.1:%d => { udp_threads => 1, tcp_threads => 1 } }\n", port
    printf "  run_dir => %s/run\n  state_dir => %s/state\n}\nservice_types => { }\n", home, home
    if (services == 0) exit
    print "plugins => { geoip => {\n  maps => {"
    for (service = 0; service < (what == "rule-sets" ? services : 1); service++) gdnsd_map(service)
    print "  }\n  resources => {"
    for (service = 0; service < services; service++) {
        printf "    s%d => { map => m%d, service_types => up, dcmap => {\n", service, what == "rule-sets" ? service : 0
        for (region = 1; region <= regions; region++)
            if (has(service, region)) printf "      r%d => %s\n", region, addresses(service, region, "")
        print "    } }"
    }
    print "  }\n} }"
}

function gdnsd_map(service,    region, list) {
    for (region = 1; region <= regions; region++)
        if (has(service, region)) list = list (list == "" ? "" : ", ") "r" region
    printf "    m%d => { geoip2_db => city.mmdb, datacenters => [%s]\n      auto_dc_coords => {\n", service, list
    for (region = 1; region <= regions; region++)
        if (has(service, region)) printf "        r%d => [%s]\n", region, places[region]
    print "    } }"
}

# Knot's module chooses by continent and country, so it has no nearest region and no rule sets. It gets six rules a name.
function knot(    service, at) {
    if (what == "rule-sets" || what == "regions") exit 3
    split("EU NA AS AF SA OC", continents, " ")
    for (service = 0; service < services; service++) {
        printf "s%d.example.test:\n", service
        for (at = 1; at <= 6; at++)
            printf "  - geo: \"%s\"\n    A: %s\n", continents[at], addresses(service, (at - 1) % regions + 1, "")
    }
}

function zone(    service, record) {
    print "$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 hostmaster 1 7200 1800 259200 60\n@ NS ns1\nns1 A 192.0.2.53"
    for (service = 0; service < services; service++) {
        if (to == "gdnsd") printf "s%d 60 DYNA geoip!s%d\n", service, service
        if (to == "knot") printf "s%d A 192.0.2.1\n", service
    }
    for (record = 0; what == "records" && record < count / 2; record++) {
        printf "s%d A 10.%d.%d.%d\n", record, int(record / 65536), int(record / 256) % 256, record % 256
        printf "s%d AAAA 2001:db8::%x:%x\n", record, int(record / 65536), record % 65536
    }
}
