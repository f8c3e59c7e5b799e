//! Writes metrics from their samples, in the text format of OpenMetrics.
//!
//! [`MetricsWriter`] wraps the encoder of `prometheus_client`, so that a metric is one call with
//! its name, its help text and its samples.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::server::Histogram;

/// Label names and values.
pub type Labels = Vec<(&'static str, String)>;

/// One value of a metric.
pub struct MetricSample<T> {
    /// The labels that distinguish it from other values of the metric.
    pub labels: Labels,
    /// The value.
    pub value: T,
}

impl<T> MetricSample<T> {
    /// A value with one label.
    pub fn new(label: &'static str, word: impl Into<String>, value: T) -> MetricSample<T> {
        MetricSample {
            labels: vec![(label, word.into())],
            value,
        }
    }

    /// The value of a metric without labels.
    pub fn plain(value: T) -> MetricSample<T> {
        MetricSample {
            labels: Vec::new(),
            value,
        }
    }
}

/// Writes metrics one after another.
pub struct MetricsWriter<'e> {
    /// The text so far.
    pub encoder: DescriptorEncoder<'e>,
}

impl MetricsWriter<'_> {
    /// A gauge without labels.
    pub fn gauge<N: EncodeGaugeValue>(&mut self, name: &str, help: &str, value: N) -> fmt::Result {
        self.gauges(name, help, vec![MetricSample::plain(value)])
    }

    /// A gauge with a value for each sample.
    pub fn gauges<N: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: Vec<MetricSample<N>>,
    ) -> fmt::Result {
        let mut metric = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for MetricSample { labels, value } in samples {
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A counter without labels.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.counters(name, help, vec![MetricSample::plain(value)])
    }

    /// A counter with a value for each sample.
    pub fn counters(
        &mut self,
        name: &str,
        help: &str,
        samples: Vec<MetricSample<u64>>,
    ) -> fmt::Result {
        let mut metric = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for MetricSample { labels, value } in samples {
            ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    /// A histogram for each sample.
    pub fn histograms(
        &mut self,
        name: &str,
        help: &str,
        samples: Vec<MetricSample<Histogram>>,
    ) -> fmt::Result {
        let mut metric = self
            .encoder
            .encode_descriptor(name, help, None, MetricType::Histogram)?;
        for MetricSample { labels, value } in samples {
            let count = value.buckets.iter().map(|(_, count)| count).sum();
            metric
                .encode_family(&labels)?
                .encode_histogram::<NoLabelSet>(value.sum, count, &value.buckets, None)?;
        }
        Ok(())
    }
}
