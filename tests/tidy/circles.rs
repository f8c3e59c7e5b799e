//! Circles of imports: files that need each other cannot be read one after the other, so circles stay small.
//!
//! An import counts towards the file that defines the thing, wherever it is handed on. A `mod` line is no import.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use super::expect_none;
use super::parsed::{Module, ModulePath, modules};

/// Most files that may need each other.
const MOST: usize = 3;

/// A larger circle that is left. This list may only shrink.
const LEFT: [&str; 0] = [];

#[test]
fn no_circle_of_imports_has_more_than_three_files() {
    let modules = modules();
    let graph = Graph::of(&modules);
    let mut found = Vec::new();
    for circle in graph.circles() {
        let names = circle.join(", ");
        if circle.len() > MOST && !LEFT.contains(&names.as_str()) {
            found.push(names);
        }
    }
    expect_none(found, "at most three files import each other in a circle");
}

/// Which module imports from which.
struct Graph {
    edges: BTreeMap<ModulePath, BTreeSet<ModulePath>>,
}

impl Graph {
    fn of(modules: &BTreeMap<ModulePath, Module>) -> Graph {
        let mut imports = BTreeMap::new();
        for (path, module) in modules {
            let names: BTreeMap<String, ModulePath> = module
                .imports(modules)
                .into_iter()
                .map(|it| (it.name, it.target))
                .collect();
            imports.insert(path.clone(), names);
        }
        let names = Names { modules, imports };
        let mut edges = BTreeMap::new();
        for (path, module) in modules {
            let mut used = UsedPaths {
                module,
                names: &names,
                found: BTreeSet::new(),
            };
            used.visit_file(&module.tree);
            for import in module.imports(modules) {
                if !import.is_public {
                    used.add(&import.target);
                }
            }
            used.found.remove(path);
            edges.insert(path.clone(), used.found);
        }
        Graph { edges }
    }

    /// The sets of modules that reach each other, those of one left out.
    fn circles(&self) -> Vec<Vec<String>> {
        let reach: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> = self
            .edges
            .keys()
            .map(|path| (path, self.reachable(path)))
            .collect();
        let mut circles = BTreeSet::new();
        for (path, reached) in &reach {
            let mut circle = Vec::new();
            for other in reached {
                if reach[other].contains(path) {
                    circle.push(other.join("::"));
                }
            }
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }

    fn reachable<'g>(&'g self, from: &'g ModulePath) -> BTreeSet<&'g ModulePath> {
        let mut reached = BTreeSet::new();
        let mut waiting = vec![from];
        while let Some(path) = waiting.pop() {
            for next in &self.edges[path] {
                if reached.insert(next) {
                    waiting.push(next);
                }
            }
        }
        reached
    }
}

/// What every module calls the things of others.
struct Names<'m> {
    modules: &'m BTreeMap<ModulePath, Module>,
    imports: BTreeMap<ModulePath, BTreeMap<String, ModulePath>>,
}

impl Names<'_> {
    /// The module that defines what a path leads to, behind every module that hands it on.
    fn definer(&self, path: &[String], hops: usize) -> Option<ModulePath> {
        for length in (0..=path.len()).rev() {
            let module = &path[..length];
            let Some(imports) = self.imports.get(module) else {
                continue;
            };
            let handed_on = path.get(length).and_then(|name| imports.get(name));
            return match handed_on {
                Some(target) if hops < 8 => {
                    let mut further = target.clone();
                    further.extend_from_slice(&path[length + 1..]);
                    self.definer(&further, hops + 1)
                }
                _ => Some(module.to_vec()),
            };
        }
        None
    }
}

/// The modules whose things one module names.
struct UsedPaths<'m> {
    module: &'m Module,
    names: &'m Names<'m>,
    found: BTreeSet<ModulePath>,
}

impl UsedPaths<'_> {
    fn add(&mut self, path: &[String]) {
        self.found.extend(self.names.definer(path, 0));
    }
}

impl<'ast> Visit<'ast> for UsedPaths<'_> {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if segments.len() > 1 {
            let imported = self.names.imports[&self.module.path].get(&segments[0]);
            let absolute = match imported {
                Some(target) => Some([target, &segments[1..]].concat()),
                None => self.module.absolute(&segments, self.names.modules),
            };
            if let Some(absolute) = absolute {
                self.add(&absolute);
            }
        }
        visit::visit_path(self, path);
    }
}
