//! Keys for the regions and endpoints of services.
//!
//! Services, regions and endpoints are numbered in the order in which the configuration lists them. A key joins the
//! numbers that belong together, and [`ByRegion`] is a table with one value for each region of each service.

/// One region of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionKey {
    /// Position of the service in the configuration.
    pub service: usize,
    /// Position of the region in the service.
    pub region: usize,
}

/// One endpoint of one region of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointKey {
    /// The region.
    pub region: RegionKey,
    /// Position of the endpoint in the region.
    pub endpoint: usize,
}

impl RegionKey {
    /// An endpoint of this region.
    pub fn endpoint(self, endpoint: usize) -> EndpointKey {
        EndpointKey {
            region: self,
            endpoint,
        }
    }
}

/// A value for each region of each service.
#[derive(Debug, Clone, PartialEq)]
pub struct ByRegion<T>(Vec<Vec<T>>);

impl<T> Default for ByRegion<T> {
    fn default() -> Self {
        ByRegion(Vec::new())
    }
}

impl<T> ByRegion<T> {
    /// A table without services.
    pub fn new() -> Self {
        ByRegion::default()
    }

    /// Adds the next service, with a value for each of its regions.
    pub fn push_service(&mut self, regions: Vec<T>) {
        self.0.push(regions);
    }

    /// The value of a region; `None` if there is no such region.
    pub fn get(&self, key: RegionKey) -> Option<&T> {
        self.0.get(key.service)?.get(key.region)
    }

    /// The values of one service, by region; empty if there is no such service.
    pub fn service(&self, service: usize) -> &[T] {
        self.0.get(service).map_or(&[], |regions| regions)
    }

    /// The number of services.
    pub fn services(&self) -> usize {
        self.0.len()
    }

    /// Every value with its key, in order.
    pub fn iter(&self) -> impl Iterator<Item = (RegionKey, &T)> {
        self.0.iter().enumerate().flat_map(|(service, regions)| {
            let regions = regions.iter().enumerate();
            regions.map(move |(region, value)| (RegionKey { service, region }, value))
        })
    }

    /// Every value, in order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }
}

impl<T> FromIterator<Vec<T>> for ByRegion<T> {
    fn from_iter<I: IntoIterator<Item = Vec<T>>>(services: I) -> Self {
        ByRegion(services.into_iter().collect())
    }
}
