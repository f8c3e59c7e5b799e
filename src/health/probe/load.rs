//! Endpoint load: how busy an endpoint says that it is.
//!
//! An endpoint reports its load in the header `endpoint-load-metrics` (ORCA) or in its health
//! document. Load 1.0 means that the endpoint is at capacity. Implausible values are ignored.

use hyper::header::HeaderMap;
use serde_json::Value;

/// The highest load that is believed.
const MAX_LOAD: f64 = 1000.0;

/// Reads the ORCA header `endpoint-load-metrics`: `TEXT name=value, ...` or `JSON {...}`.
pub fn from_headers(headers: &HeaderMap) -> Option<f64> {
    from_orca(headers.get("endpoint-load-metrics")?.to_str().ok()?)
}

/// The application's own figure takes precedence over that of its processors.
fn from_orca(text: &str) -> Option<f64> {
    let (form, metrics) = text.trim().split_once(' ')?;
    for name in ["application_utilization", "cpu_utilization"] {
        let value = match form {
            "TEXT" => text_metric(metrics, name),
            "JSON" => json_metric(metrics, name),
            _ => None,
        };
        if let Some(load) = value.and_then(plausible) {
            return Some(load);
        }
    }
    None
}

fn text_metric(metrics: &str, name: &str) -> Option<f64> {
    for metric in metrics.split(',') {
        if let Some((key, value)) = metric.split_once('=')
            && key.trim() == name
            && let Ok(value) = value.trim().parse()
        {
            return Some(value);
        }
    }
    None
}

fn json_metric(metrics: &str, name: &str) -> Option<f64> {
    let metrics: Value = serde_json::from_str(metrics).ok()?;
    metrics.get(name)?.as_f64()
}

/// Reads `application/health+json`: a field `load`, or else the highest
/// `checks."cpu:utilization"`, which is in percent.
pub fn from_health(document: &Value) -> Option<f64> {
    if let Some(load) = document.get("load").and_then(Value::as_f64)
        && let Some(load) = plausible(load)
    {
        return Some(load);
    }
    let mut busiest = None;
    for check in document.get("checks")?.get("cpu:utilization")?.as_array()? {
        if let Some(percent) = check.get("observedValue").and_then(Value::as_f64)
            && let Some(load) = plausible(percent / 100.0)
        {
            busiest = Some(load.max(busiest.unwrap_or(load)));
        }
    }
    busiest
}

fn plausible(load: f64) -> Option<f64> {
    if (0.0..=MAX_LOAD).contains(&load) {
        Some(load)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_orca_are_read_and_nonsense_is_not() {
        for (text, load) in [
            ("TEXT cpu_utilization=0.3,mem_utilization=0.8", Some(0.3)),
            (
                "TEXT cpu_utilization=0.3, application_utilization=0.7",
                Some(0.7),
            ),
            (r#"JSON {"cpu_utilization": 1.25}"#, Some(1.25)),
            ("TEXT cpu_utilization=NaN", None),
            ("TEXT cpu_utilization=-1", None),
            ("JSON {", None),
            ("BIN AAAA", None),
            ("", None),
        ] {
            assert_eq!(from_orca(text), load, "{text}");
        }
    }

    #[test]
    fn health_json_reports_the_busiest_processor() {
        let said = serde_json::json!({"checks": {
            "cpu:utilization": [{"observedValue": 40}, {"observedValue": 85}],
        }});
        assert_eq!(from_health(&said), Some(0.85));
        assert_eq!(from_health(&serde_json::json!({"load": 0.5})), Some(0.5));
        assert_eq!(from_health(&serde_json::json!([])), None);
    }
}
