//! Endpoints that are answered as CNAME are checked at the addresses of their names.

use std::time::Duration;

use crate::harness::{NameServer, Region, Server, Setup};
use crate::world::{check, endpoint, eventually, printed, setup, stays, www};

const EU: &str = "eu.cdn.test.";
const US: &str = "us.cdn.test.";

fn start(names: &NameServer, port: u16) -> Server {
    let services = "[[services]]\nname = \"www.example.test\"\ncheck = \"web\"\nramp = \"0s\"\n[services.endpoints]\n\
                    fra = { cname = \"eu.cdn.test\" }\niad = { cname = \"us.cdn.test\" }\n";
    setup(names, &format!("{}{services}", check(port))).start()
}

#[test]
fn a_name_is_up_while_any_of_its_addresses_is() {
    let names = NameServer::start();
    let one = Region::start("127.0.1.1", 0);
    let other = Region::start("127.0.1.2", one.port);
    let _us = Region::start("127.0.2.1", one.port);
    names.set("eu.cdn.test", &["127.0.1.2", "127.0.1.1"], 60);
    names.set("us.cdn.test", &["127.0.2.1"], 60);
    let server = start(&names, one.port);
    assert_eq!(www(&server), EU);
    let eu = endpoint(&server, 0, 0);
    assert_eq!(
        eu["addresses"],
        serde_json::json!(["127.0.1.1", "127.0.1.2"])
    );
    assert_eq!(
        (&eu["verdict"], &eu["unresolved"]),
        (&"up".into(), &serde_json::Value::Null)
    );
    assert!(
        printed(&server).contains("at 127.0.1.1, 127.0.1.2"),
        "{}",
        printed(&server)
    );
    one.set_broken(true);
    server.await_log("127.0.1.1:", 1);
    stays(
        &server,
        Duration::from_millis(500),
        "one address is enough",
        || www(&server) == EU,
    );
    other.set_broken(true);
    eventually(&server, "the name leaves the answers", || {
        www(&server) == US
    });
    one.set_broken(false);
    eventually(&server, "the name comes back", || www(&server) == EU);
}

#[test]
fn probes_follow_a_name_that_moves() {
    let names = NameServer::start();
    let before = Region::start("127.0.1.3", 0);
    let after = Region::start("127.0.1.4", before.port);
    let _us = Region::start("127.0.2.1", before.port);
    names.set("eu.cdn.test", &["127.0.1.3"], 1);
    names.set("us.cdn.test", &["127.0.2.1"], 1);
    let server = start(&names, before.port);
    assert_eq!(www(&server), EU);
    names.set("eu.cdn.test", &["127.0.1.4"], 1);
    server.await_log(
        "eu.cdn.test has other addresses now: 127.0.1.4 (before: 127.0.1.3)",
        1,
    );
    eventually(&server, "status says so", || {
        endpoint(&server, 0, 0)["addresses"][0] == "127.0.1.4"
    });
    before.set_broken(true);
    stays(
        &server,
        Duration::from_millis(1500),
        "nobody asks the old address",
        || www(&server) == EU,
    );
    after.set_broken(true);
    eventually(&server, "the new one decides", || www(&server) == US);
}

#[test]
fn what_a_name_last_came_to_is_kept_while_it_does_not_resolve() {
    let names = NameServer::start();
    let eu = Region::start("127.0.1.5", 0);
    let _us = Region::start("127.0.2.1", eu.port);
    names.set("eu.cdn.test", &["127.0.1.5"], 1);
    names.set("us.cdn.test", &["127.0.2.1"], 3600);
    let server = start(&names, eu.port);
    for (silent, why) in [
        (true, "no answer within 500ms"),
        (false, "there is no such name"),
    ] {
        names.set_silent(silent);
        names.forget("eu.cdn.test");
        server.await_log(
            &format!(
                "eu.cdn.test does not resolve (A); its last addresses stay in use: 127.0.1.5: {why}"
            ),
            1,
        );
        let unresolved = || {
            endpoint(&server, 0, 0)["unresolved"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        eventually(&server, why, || unresolved().ends_with(why));
        assert!(
            printed(&server).contains(&format!("{why}; at 127.0.1.5")),
            "{}",
            printed(&server)
        );
        assert_eq!(www(&server), EU, "it is probed still, and it is well");
        names.set_silent(false);
        names.set("eu.cdn.test", &["127.0.1.5"], 1);
        server.await_log(
            "eu.cdn.test resolves again: 127.0.1.5",
            if silent { 1 } else { 2 },
        );
    }
    names.set_silent(true);
    server.await_log("does not resolve", 3);
    eu.set_broken(true);
    eventually(&server, "its health still counts", || www(&server) == US);
    // A reload keeps what is known.
    eu.set_broken(false);
    eventually(&server, "it is back", || www(&server) == EU);
    server.reload();
    server.await_log("\"reloaded", 1);
    assert_eq!(www(&server), EU);
}

#[test]
fn a_name_that_never_resolved_is_down() {
    let names = NameServer::start();
    let us = Region::start("127.0.2.1", 0);
    names.set("us.cdn.test", &["127.0.2.1"], 60);
    // Only such addresses as no host has.
    names.set("eu.cdn.test", &["0.0.0.0", "224.0.0.1", "ff02::1"], 1);
    let server = start(&names, us.port);
    assert_eq!(www(&server), US);
    let eu = endpoint(&server, 0, 0);
    assert_eq!((&eu["verdict"], &eu["up"]), (&"down".into(), &false.into()));
    let reason = "eu.cdn.test does not resolve: A: it has no address of a host, only such as 0.0.0.0; \
                  AAAA: it has no address of a host, only such as ff02::1";
    assert_eq!(eu["reason"], reason);
    assert!(printed(&server).contains(&format!(
        "1 of 2 regions of www.example.test is down: fra ({reason}"
    )));
    let _eu = Region::start("127.0.1.6", us.port);
    names.set("eu.cdn.test", &["127.0.1.6"], 1);
    eventually(&server, "it resolves after all", || www(&server) == EU);
}

#[test]
fn a_name_is_resolved_through_another_meridian() {
    let eu = Region::start("127.0.1.7", 0);
    let _us = Region::start("127.0.2.1", eu.port);
    let zone = "$ORIGIN cdn.test.\n$TTL 1\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 127.0.0.1\neu CNAME far.eu\n\
                far.eu A 127.0.1.7\nus A 127.0.2.1\n";
    let other = Setup::new().zone("cdn.test", zone).start();
    let nobody = NameServer::start();
    nobody.set_silent(true);
    // Of two servers, the one that answers is enough.
    let services = "[[services]]\nname = \"www.example.test\"\ncheck = \"web\"\n[services.endpoints]\n\
                    fra = { cname = \"eu.cdn.test\" }\niad = { cname = \"us.cdn.test\", weight = 1 }\n";
    let text = format!("{}{services}", check(eu.port));
    let config = nobody.config();
    let both = format!(
        "servers = [\"{}\", \"{}\"]",
        nobody.address,
        other.address()
    );
    let lines = config.lines().map(|line| {
        if line.starts_with("servers") {
            both.as_str()
        } else {
            line
        }
    });
    let config = lines.collect::<Vec<_>>().join("\n").replace("500ms", "4s");
    let places = "[[geo.networks]]\ncidr = \"198.18.0.0/15\"\nlocation = \"FRA\"\n[regions.fra]\nlocation = \"FRA\"\n\
                  [regions.iad]\nlocation = \"IAD\"\n";
    let setup = Setup::new().zone("example.test", crate::world::ZONE);
    let server = setup.config(&format!("{config}\n{places}{text}")).start();
    assert_eq!(www(&server), EU);
    assert_eq!(
        endpoint(&server, 0, 0)["addresses"],
        serde_json::json!(["127.0.1.7"])
    );
    eu.set_broken(true);
    eventually(&server, "it leaves", || www(&server) == US);
}
