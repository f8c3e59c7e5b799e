//! Load: what an endpoint says of how busy it is.

use hyper::header::HeaderMap;
use serde_json::Value;

/// Of the ORCA header `endpoint-load-metrics`: `TEXT name=value, ...` or `JSON {...}`.
pub fn from_headers(headers: &HeaderMap) -> Option<f64> {
    from_orca(headers.get("endpoint-load-metrics")?.to_str().ok()?)
}

/// What the application says comes before what its processors say.
fn from_orca(text: &str) -> Option<f64> {
    let (form, rest) = text.trim().split_once(' ')?;
    let value = |name: &str| match form {
        "TEXT" => rest.split(',').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            (key.trim() == name).then(|| value.trim().parse().ok())?
        }),
        "JSON" => serde_json::from_str::<Value>(rest)
            .ok()?
            .get(name)?
            .as_f64(),
        _ => None,
    };
    sane(value("application_utilization")).or_else(|| sane(value("cpu_utilization")))
}

/// Of `application/health+json`: a field `load`, or the busiest of `checks."cpu:utilization"` in percent.
pub fn from_health(said: &Value) -> Option<f64> {
    let stated = sane(said.get("load").and_then(Value::as_f64));
    let checks = said
        .get("checks")
        .and_then(|checks| checks.get("cpu:utilization"))
        .and_then(Value::as_array);
    let observed = |check: &Value| {
        sane(
            check
                .get("observedValue")?
                .as_f64()
                .map(|percent| percent / 100.0),
        )
    };
    stated.or_else(|| checks?.iter().filter_map(observed).reduce(f64::max))
}

fn sane(load: Option<f64>) -> Option<f64> {
    load.filter(|load| load.is_finite() && (0.0..=1000.0).contains(load))
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
    fn health_json_tells_the_busiest_processor() {
        let said = serde_json::json!({"checks": {"cpu:utilization": [{"observedValue": 40}, {"observedValue": 85}]}});
        assert_eq!(from_health(&said), Some(0.85));
        assert_eq!(from_health(&serde_json::json!({"load": 0.5})), Some(0.5));
        assert_eq!(from_health(&serde_json::json!([])), None);
    }
}
