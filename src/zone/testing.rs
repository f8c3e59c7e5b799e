//! Shortcuts that load a zone in tests.
//!
//! The text of a test follows [`HEAD`], so a test states only the records that it is about.

use std::path::Path;

use super::{LoadedZones, load_text};

/// Three lines that make a zone of example.com; what a test adds starts on line 4.
pub const HEAD: &str =
    "$TTL 1h\n@ SOA ns.example.net. host.example.net. 1 2h 3 4 5\n@ NS ns.example.net.\n";

/// Loads `text` as the file `z.zone` of the zone example.com.
pub fn load(text: &str) -> Result<LoadedZones, Vec<String>> {
    let origin = "example.com".parse().expect("a name");
    load_text(Path::new("z.zone"), text.as_bytes(), Some(&origin), None)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// The mistakes in `text` after [`HEAD`].
pub fn errors(text: &str) -> Vec<String> {
    load(&format!("{HEAD}{text}")).err().unwrap_or_default()
}

/// The warnings about `text` after [`HEAD`], those about missing addresses last.
pub fn warnings(text: &str) -> Vec<String> {
    let loaded = load(&format!("{HEAD}{text}")).expect("no mistakes");
    let missing = loaded.missing_addresses.iter().map(|(_, warning)| warning);
    loaded
        .warnings
        .iter()
        .chain(missing)
        .map(ToString::to_string)
        .collect()
}

/// Every RRset after the apex as `owner ttl type hex,hex`.
pub fn listing(text: &str) -> Vec<String> {
    let loaded = load(&format!("{HEAD}{text}")).expect("no mistakes");
    let below = loaded.zones[0]
        .rrsets()
        .filter(|rrset| rrset.name() != loaded.zones[0].origin);
    below
        .map(|rrset| {
            let data: Vec<String> = rrset.rdata().map(hexadecimal).collect();
            format!(
                "{} {} {} {}",
                rrset.name(),
                rrset.ttl(),
                rrset.rtype(),
                data.join(",")
            )
        })
        .collect()
}

/// Octets as hexadecimal digits.
pub fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The wire form of one record at `x`, in hexadecimal digits.
pub fn wire(record: &str) -> String {
    let listed = listing(&format!("x {record}\n"));
    assert_eq!(listed.len(), 1, "{record}");
    listed[0].rsplit(' ').next().unwrap_or_default().to_owned()
}
