//! Who may vote, and what wrong messages do: nothing, with a word and a metric for each.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::harness::free_port;

use crate::engine::{
    Engine, FRA, RawVoter, VOTERS, World, await_answer, await_that, await_voters, fleet, get,
    may_hear_reports, may_report,
};

#[test]
fn nobody_votes_as_somebody_else() {
    let (world, engine) = (World::start(), Engine::start());
    // By hand: the NATS server refuses the subject of another voter.
    let mut raw = RawVoter::login(&engine, "sin");
    raw.publish("meridian.world.votes.iad", b"x");
    let refusal = raw.ping();
    assert!(
        refusal.contains("Permissions Violation for Publish"),
        "{refusal}"
    );
    // A server that says that it is another is heard by nobody, and its log says why.
    let ams = world.member(&engine, "ams");
    let liar = world.login(&engine, "iad", "sin");
    liar.await_log("Permissions Violation", 1);
    await_voters(&liar, 1);
    assert_eq!(fleet(&ams)["voters"], serde_json::json!([]));
    // A view that names another voter under the own subject does not count either.
    let iad = world.member(&engine, "iad");
    await_voters(&ams, 1);
    drop(liar);
    let mut view = meridian::fleet::view::VoterView {
        fleet: "world".into(),
        voter: "iad".into(),
        group: "iad".into(),
        epoch: 1,
        sequence: 1,
        known_groups: 1,
        bits: 0,
        blocks: std::sync::Arc::new(vec![meridian::fleet::view::ViewBlock {
            digest: 0,
            votes: Vec::new(),
            spelled: None,
        }]),
        regions: Vec::new(),
        announcement: None,
    };
    raw = RawVoter::login(&engine, "sin");
    raw.publish("meridian.world.votes.sin", &view.write());
    ams.await_log(
        "names the voter \\\"iad\\\", but \\\"sin\\\" published it",
        1,
    );
    view.fleet = "moon".into();
    raw.publish("meridian.world.votes.sin", &view.write());
    ams.await_log("is of the fleet \\\"moon\\\"", 1);
    await_voters(&ams, 1);
    drop(iad);
}

#[test]
fn wrong_messages_are_named_and_counted_and_change_nothing() {
    let (world, engine) = (World::start(), Engine::start());
    let [ams, iad] = ["ams", "iad"].map(|voter| world.member(&engine, voter));
    await_voters(&ams, 1);
    let mut raw = RawVoter::login(&engine, "sin");
    let subject = "meridian.world.votes.sin";
    raw.publish(subject, b"hello");
    raw.publish(subject, &vec![0; 1_000_000]);
    raw.publish(subject, b"MVEW\x03\0\0\0\0and what comes after");
    raw.publish(subject, b"MVEW\x01\xff\0\0\0");
    let words = ["no_view", "too_long", "other_version", "cut_off"];
    await_that("all are counted", || {
        let refused = fleet(&ams)["refused"].clone();
        words.iter().all(|word| refused[word] == 1)
    });
    for sentence in [
        "is no view: somebody else publishes on this subject",
        "has 1000000 octets",
        "is of version 3",
        "is cut off",
    ] {
        ams.await_log(sentence, 1);
    }
    let metrics = get(&ams, "/metrics");
    for word in words {
        let line = format!("meridian_fleet_views_refused_total{{reason=\"{word}\"}} 1\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    await_answer(&ams, FRA);
    assert_eq!(fleet(&ams)["fresh_groups"], 2);
    drop(iad);
}

#[test]
fn two_servers_with_one_name_count_for_nobody() {
    let (world, engine) = (World::start(), Engine::start());
    let ams = world.member(&engine, VOTERS[0]);
    let twins = [world.member(&engine, "iad"), world.member(&engine, "iad")];
    ams.await_log("two servers are named \\\"iad\\\"", 1);
    for twin in &twins {
        twin.await_log("two servers are named \\\"iad\\\"", 1);
        await_that("it knows", || fleet(twin)["disputed"] == true);
    }
    assert_eq!(fleet(&ams)["voters"][0]["state"], "disputed");
    let [one, other] = twins;
    assert!(other.stop());
    await_voters(&ams, 1);
    await_that("it is alone", || fleet(&one)["disputed"] == false);
}

/// An authority, and the certificates that it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("it signs itself"))
    }

    /// Certificate and key of a name, as PEM.
    fn certify(&self, name: &str) -> (String, String) {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.0).expect("it signs");
        (signed.pem(), key.serialize_pem())
    }
}

#[test]
fn a_certificate_says_who_votes() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (certificate, key) = authority.certify("127.0.0.1");
    for (name, text) in [
        ("ca.pem", authority.0.pem()),
        ("nats.pem", certificate),
        ("nats.key", key),
    ] {
        std::fs::write(at(name), text).expect("it can be written");
    }
    let port = free_port();
    let mut users = String::new();
    for voter in VOTERS {
        users.push_str(&format!(
            "{{ user: \"{voter}\", permissions: {{ publish: [\"meridian.world.votes.{voter}\", {}]\n\
             subscribe: [\"meridian.world.votes.*\", {}] }} }}\n",
            may_report(voter),
            may_hear_reports(voter)
        ));
    }
    let text = format!(
        "listen: 127.0.0.1:{port}\ntls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", \
         verify_and_map: true }}\nauthorization {{ users: [\n{users}] }}\n",
        at("nats.pem"),
        at("nats.key"),
        at("ca.pem")
    );
    let _engine = Engine::with(port, &text);
    let world = World::start();
    let member = |voter: &str, owner: &str, scheme: &str| {
        let (certificate, key) = authority.certify(owner);
        let file = |kind: &str| at(&format!("{voter}-{owner}-{scheme}.{kind}"));
        std::fs::write(file("pem"), certificate).expect("it can be written");
        std::fs::write(file("key"), key).expect("it can be written");
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(file("key"), owner_only).expect("it is ours");
        let keys = format!(
            "voter = \"{voter}\"\nservers = [\"{scheme}://127.0.0.1:{port}\"]\nca_file = \"{}\"\n\
             client_cert = \"{}\"\nclient_key = \"{}\"\n",
            at("ca.pem"),
            file("pem"),
            file("key")
        );
        world.server(voter, &keys)
    };
    let ams = member("ams", "ams", "tls");
    let iad = member("iad", "iad", "nats");
    await_voters(&ams, 1);
    await_voters(&iad, 1);
    let thief = member("sin", "iad", "tls");
    thief.await_log("Permissions Violation", 1);
    await_voters(&thief, 2);
    assert_eq!(fleet(&ams)["voters"].as_array().map(Vec::len), Some(1));
}
