//! A zone of every type that BIND loads: what Meridian serves of it is octet for octet what BIND serves.

use crate::harness::types::AAAA;
use crate::harness::{Message, Question, Transport};
use crate::names::Name;
use crate::servers::Servers;
use crate::zones::{Record, Zone};

#[test]
fn every_type_that_named_checkzone_accepts_is_served_as_bind_serves_it() {
    let zones = [zone()];
    let servers = Servers::start_with(&["BIND"], &zones);
    let [bind] = &servers.others[..] else {
        panic!("BIND alone")
    };
    let mut wrong = Vec::new();
    for record in &zones[0].records[2..] {
        let number = number_of(record.rtype);
        let question = Question {
            name: record.owner.wire(),
            ..Question::new(".", number)
        };
        let ours = servers
            .ours
            .exchange(&question.octets(), Transport::Tcp)
            .expect("a reply of ours");
        let theirs = bind
            .exchange(&question.octets(), Transport::Tcp)
            .expect("a reply of BIND");
        let what = format!("{} {}", record.rtype, record.data);
        let [ours, theirs] = [ours, theirs]
            .map(|reply| Message::read(&reply).unwrap_or_else(|e| panic!("{what}: {e}")));
        // BIND keeps NSEC3 apart from the names and gives it as a proof only; its octets are a test of `zone::data`.
        if record.rtype == "NSEC3" {
            assert_eq!((ours.answers.len(), theirs.answers.len()), (1, 0), "{what}");
            continue;
        }
        if theirs.answers.len() != 1 || ours.answers != theirs.answers {
            wrong.push(format!(
                "{what}\n  ours {:?}\n  BIND {:?}",
                ours.answers, theirs.answers
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(number_of("AAAA"), AAAA);
}

fn zone() -> Zone {
    let origin = Name::of("types.test");
    let record = |owner: Name, rtype, data: &str| Record {
        owner,
        ttl: 60,
        rtype,
        data: data.to_owned(),
        target: None,
    };
    let mut records = vec![
        record(origin.clone(), "SOA", "a.elsewhere. b.elsewhere. 1 2 3 4 5"),
        record(origin.clone(), "NS", "ns.elsewhere."),
    ];
    for (number, (rtype, data)) in RECORDS.iter().enumerate() {
        // The owner of NSEC3 must look like a hash, for BIND; that of the others may.
        let owner = origin.child(format!("{number:032}").as_bytes());
        records.push(record(owner, rtype, data));
    }
    Zone { origin, records }
}

fn number_of(rtype: &str) -> u16 {
    rtype
        .parse::<meridian::dns::RecordType>()
        .expect("a type")
        .0
}

/// Every type that BIND 9.18 loads in class IN (`named-checkzone`), many in several forms; MD and MF it refuses.
#[rustfmt::skip]
const RECORDS: &[(&str, &str)] = &[
    ("MB", r#"y"#),
    ("MG", r#"y"#),
    ("MR", r#"y"#),
    ("NULL", r#"\# 3 010203"#),
    ("WKS", r#"\# 16 0a000001060000014000000000000080"#),
    ("PTR", r#"Y"#),
    ("HINFO", r#"PC Linux"#),
    ("MINFO", r#"y z."#),
    ("MX", r#"10 y"#),
    ("TXT", r#""a b" c\"\200 "" \;"#),
    ("RP", r#"a.b. ."#),
    ("AFSDB", r#"1 y."#),
    ("X25", r#""311061700956""#),
    ("ISDN", r#""150862028003217" "004""#),
    ("ISDN", r#"1"#),
    ("RT", r#"10 y"#),
    ("NSAP", r#"\# 20 47000580005a0000000001e133ffffff00016100"#),
    ("NSAP-PTR", r#"y."#),
    ("SIG", r#"NXT 1 3 3600 20260201000000 20260101000000 2143 foo AAEC"#),
    ("KEY", r#"256 3 8 AAEC"#),
    ("PX", r#"65535 y z."#),
    ("GPOS", r#"-22.6882 116.8652 250.0"#),
    ("AAAA", r#"2001:db8::1"#),
    ("LOC", r#"42 21 54 N 71 06 18 W -24m 30m"#),
    ("LOC", r#"60 9 N 24 39 E 10 20 2000 20"#),
    ("NXT", r#"\# 16 01790574797065730474657374004001"#),
    ("EID", r#"\# 3 1289ab"#),
    ("NIMLOC", r#"\# 3 1289ab"#),
    ("SRV", r#"1 2 443 Y"#),
    ("ATMA", r#"\# 12 013631323030303030303030"#),
    ("ATMA", r#"\# 5 0039246f00"#),
    ("NAPTR", r#"100 10 "U" "E2U+sip" "!^.*$!sip:info@example.com!" ."#),
    ("NAPTR", r#"100 10 "" "" "" Y"#),
    ("KX", r#"1 y."#),
    ("CERT", r#"PKIX 1 RSASHA256 AAEC"#),
    ("CERT", r#"65534 65535 254 AAEC"#),
    ("A6", r#"\# 17 0020010db8000000000000000000000001"#),
    ("A6", r#"\# 12 440001000200030004017900"#),
    ("A6", r#"\# 4 80017900"#),
    ("SINK", r#"\# 6 080002000102"#),
    ("APL", r#"1:192.168.32.0/21 !1:192.168.38.0/28 2:ff00::/8"#),
    ("APL", r#"!1:10.0.0.1/32"#),
    ("APL", r#""#),
    ("SSHFP", r#"4 2 123456789abcdef67890123456789abcdef67890123456789abcdef123456789"#),
    ("IPSECKEY", r#"10 0 2 . AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="#),
    ("IPSECKEY", r#"10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="#),
    ("IPSECKEY", r#"10 2 2 2001:db8::1 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="#),
    ("IPSECKEY", r#"10 3 2 my. AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ=="#),
    ("DHCID", r#"AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA="#),
    ("TLSA", r#"3 1 1 d2abde240d7cd3ee6b4b28c54df034b9 7983a1d16e8a410e4561cb106618e971"#),
    ("SMIMEA", r#"3 1 1 00ff"#),
    ("HIP", r#"2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p9+LrV4e19WzK00+CI6zBCQTdtWsuxKbWIy87UOoJTwkUs7lBu+Upr1gsNrut79ryra+bSRGQb1slImA8YVJyuIDsj7kwzG7jnERNqnWxZ48AWkskmdHaVDP4BcelrTI3rMXdXF5D rvs.y. rvs2"#),
    ("NINFO", r#"\# 4 01780179"#),
    ("RKEY", r#"\# 7 0000ff01000102"#),
    ("TALINK", r#"\# 4 00017900"#),
    ("CDS", r#"60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118"#),
    ("CDS", r#"0 0 0 00"#),
    ("CDNSKEY", r#"257 3 13 c2lnbmF0dXJl"#),
    ("CDNSKEY", r#"0 3 0 AA=="#),
    ("OPENPGPKEY", r#"AAEC"#),
    ("CSYNC", r#"66 3 A NS AAAA TYPE1234"#),
    ("CSYNC", r#"0 0"#),
    ("ZONEMD", r#"2018031500 1 1 FEBE3D4CE2EC2FFA4BA99D46CD69D6D29711E55217057BEE7EB1A7B641A47BA7FED2DD5B97AE499FAFA4F22C6BD647DE"#),
    ("SVCB", r#"0 y"#),
    ("SVCB", r#"1 y. mandatory=port port=53 key667=hello no-default-alpn alpn=h2"#),
    ("HTTPS", r#"1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1 ech=AAEC"#),
    ("HTTPS", r#"1 . dohpath=/q{?dns}"#),
    ("SVCB", r#"7 . key7="/q{?dns}""#),
    ("SPF", r#""v=spf1 -all""#),
    ("NID", r#"10 0014:4fff:ff20:ee64"#),
    ("L32", r#"10 10.1.2.0"#),
    ("L64", r#"10 2001:0DB8:1140:1000"#),
    ("LP", r#"10 l64.y."#),
    ("EUI48", r#"00-00-5e-00-53-2a"#),
    ("EUI64", r#"00-00-5e-ef-10-00-00-2a"#),
    ("URI", r#"10 1 "ftp://ftp1.example.com/public""#),
    ("CAA", r#"128 issue "ca.example.net; policy=ev""#),
    ("CAA", r#"0 tbs "\200x""#),
    ("AVC", r#""app-name:WOLFGANG" "x""#),
    ("DOA", r#"\# 23 0000000100000002030a746578742f706c61696e000102"#),
    ("DOA", r#"\# 10 00000000000000000100"#),
    ("AMTRELAY", r#"0 1 0 ."#),
    ("AMTRELAY", r#"1 0 1 192.0.2.1"#),
    ("AMTRELAY", r#"1 0 2 ::1"#),
    ("AMTRELAY", r#"1 1 3 y."#),
    ("RESINFO", r#"qnamemin exterr=15,16"#),
    ("WALLET", r#"BTC x"#),
    ("TA", r#"30795 1 1 310D27F4D82C1FC2400704EA9939FE6E1CEAA3B9"#),
    ("DLV", r#"30795 1 1 310D27F4D82C1FC2400704EA9939FE6E1CEAA3B9"#),
    ("DNSKEY", r#"257 3 13 c2lnbmF0dXJl"#),
    ("DNSKEY", r#"512 255 1 AAEC"#),
    ("DS", r#"60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118"#),
    ("RRSIG", r#"A 13 3 3600 20260201000000 20260101000000 12345 types.test. c2lnbmF0dXJl"#),
    ("RRSIG", r#"TYPE65280 13 3 3600 1893456000 1767225600 12345 types.test. c2lnbmF0dXJl"#),
    ("NSEC", r#"y A MX RRSIG NSEC TYPE1234"#),
    ("NSEC3", r#"1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY NS SOA NSEC3PARAM RRSIG"#),
    ("NSEC3", r#"1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr"#),
    ("NSEC3PARAM", r#"1 0 0 -"#),
    ("NSEC3PARAM", r#"1 0 12 aabbccdd"#),
    ("UINFO", r#"\# 3 010203"#),
    ("UID", r#"\# 3 010203"#),
    ("GID", r#"\# 3 010203"#),
    ("UNSPEC", r#"\# 3 010203"#),
    ("TYPE65280", r#"\# 3 01 0203"#),
    ("TYPE65535", r#"\# 0"#),
    ("TYPE1", r#"\# 4 c0000201"#),
    ("TYPE731", r#"\# 6 abcdef 012345"#),
    ("CNAME", r#"y"#),
    ("DNAME", r#"y.elsewhere."#),
    ("DSYNC", r#"CDS 1 53 y"#),
    ("A", "192.0.2.1"),
    ("DNSKEY", "257 3 RSASHA256 AAEC"),
    ("DS", "60485 ECDSAP256SHA256 SHA-256 00000000000000000000000000000000000000000000000000000000000000ff"),
    ("RRSIG", "A ED25519 3 3600 20260201000000 20260101000000 12345 types.test. c2lnbmF0dXJl"),
    ("NSEC3PARAM", "SHA-1 0 0 -"),
];
