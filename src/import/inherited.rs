//! Options of gdnsd's plugins that an inner hash inherits from the hashes around it.
//!
//! A resource may state them once for all of its datacenters. An inner hash that states one again
//! overrides it for itself and for what is inside it.

use super::notes::ImportNotes;
use super::vscf::VscfHash;

/// Keys of a resource that state options, not endpoints.
pub const PARAMETERS: [&str; 7] = [
    "service_types",
    "up_thresh",
    "multi",
    "ignore_health",
    "plugin",
    "skip_first",
    "undefined_datacenters_ok",
];

/// The options that hold inside a hash.
#[derive(Debug, Clone)]
pub struct InheritedOptions {
    /// The plugin of resources that name none.
    pub plugin: String,
    /// The service types that check each endpoint.
    pub service_types: Vec<String>,
    /// The part of the endpoints that must be up.
    pub threshold: f64,
    /// Whether a weighted resource answers with all of its addresses.
    pub multi: bool,
    /// Whether the first datacenter of a list is skipped.
    pub skip_first: bool,
}

impl Default for InheritedOptions {
    /// gdnsd's own defaults.
    fn default() -> Self {
        InheritedOptions {
            plugin: "multifo".to_owned(),
            service_types: vec!["up".to_owned()],
            threshold: 0.5,
            multi: false,
            skip_first: false,
        }
    }
}

impl InheritedOptions {
    /// These options, overridden by those that `table` states.
    pub fn with(&self, table: &VscfHash, notes: &mut ImportNotes) -> InheritedOptions {
        if table.flag("ignore_health") == Some(true)
            && let Some(entry) = table.entry("ignore_health")
        {
            notes.add(
                &entry.place,
                "ignore_health: endpoints that are down are left out here",
            );
        }
        let mut options = self.clone();
        if let Some(plugin) = table.text("plugin") {
            options.plugin = plugin.to_owned();
        }
        if let Some(types) = table.get("service_types") {
            options.service_types = types.texts();
        }
        options.threshold = table.number("up_thresh").unwrap_or(self.threshold);
        options.multi = table.flag("multi").unwrap_or(self.multi);
        options.skip_first = table.flag("skip_first").unwrap_or(self.skip_first);
        options
    }
}
