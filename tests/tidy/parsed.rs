//! The source as syn parses it: one [`Module`] for each file, its tests left out.

use std::collections::BTreeMap;

use syn::visit::{self, Visit};
use syn::{Attribute, File, ImplItemFn, Item, ItemFn, ItemUse, UseTree, Visibility};

use super::{Source, sources};

/// The path of a module below the crate: `["dns", "name"]`.
pub type ModulePath = Vec<String>;

/// One file of the source.
pub struct Module {
    /// Where the file lies: `src/dns/name.rs`.
    pub file: String,
    /// Its module.
    pub path: ModulePath,
    /// Lines that hold code: neither blank nor a comment.
    pub code_lines: usize,
    /// What syn made of it, without modules and functions for tests.
    pub tree: File,
    text: String,
}

/// A name that `use` brings into a module.
pub struct Import {
    /// The name inside the module.
    pub name: String,
    /// Where it comes from, from the root of the crate.
    pub target: ModulePath,
    /// Whether the module hands it on.
    pub is_public: bool,
}

/// Every module of the crate by its path.
pub fn modules() -> BTreeMap<ModulePath, Module> {
    let mut modules = BTreeMap::new();
    for source in sources() {
        if source.is_test() {
            continue;
        }
        let module = Module::parse(source);
        modules.insert(module.path.clone(), module);
    }
    modules
}

impl Module {
    fn parse(source: Source) -> Module {
        let mut tree = syn::parse_file(&source.text).expect("the compiler reads it too");
        tree.items.retain(|item| !is_for_tests(attributes(item)));
        Module {
            path: module_path(&source.path),
            code_lines: count_code_lines(&source.code),
            tree,
            text: source.text,
            file: source.path,
        }
    }

    /// Every name that `use` brings into the module from this crate.
    pub fn imports(&self, all: &BTreeMap<ModulePath, Module>) -> Vec<Import> {
        let mut imports = Vec::new();
        for item in &self.tree.items {
            if let Item::Use(item) = item {
                self.add_imports(item, all, &mut imports);
            }
        }
        imports
    }

    fn add_imports(
        &self,
        item: &ItemUse,
        all: &BTreeMap<ModulePath, Module>,
        imports: &mut Vec<Import>,
    ) {
        let mut leaves = Vec::new();
        add_leaves(&item.tree, &mut Vec::new(), &mut leaves);
        for (path, name) in leaves {
            if let Some(target) = self.absolute(&path, all) {
                let is_public = !matches!(item.vis, Visibility::Inherited);
                imports.push(Import {
                    name,
                    target,
                    is_public,
                });
            }
        }
    }

    /// A path as written in this module, from the root of the crate; `None` if it leads elsewhere.
    pub fn absolute(
        &self,
        path: &[String],
        all: &BTreeMap<ModulePath, Module>,
    ) -> Option<ModulePath> {
        let mut base = self.path.clone();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => return Some(path[1..].to_vec()),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            child => {
                base.push(child.to_owned());
                if !all.contains_key(&base) {
                    return None;
                }
                rest = &path[1..];
            }
        }
        base.extend_from_slice(rest);
        Some(base)
    }

    /// The characters of every function from its name to its last brace, without indentation.
    pub fn function_sizes(&self) -> Vec<usize> {
        let mut functions = Functions {
            lines: self.text.lines().collect(),
            sizes: Vec::new(),
        };
        functions.visit_file(&self.tree);
        functions.sizes
    }
}

struct Functions<'a> {
    lines: Vec<&'a str>,
    sizes: Vec<usize>,
}

impl Functions<'_> {
    fn add(&mut self, block: &syn::Block) {
        let first = block.brace_token.span.open().start().line;
        let last = block.brace_token.span.close().end().line;
        let mut size = 0;
        for line in &self.lines[first - 1..last] {
            let line = line.trim();
            if !line.starts_with("//") {
                size += line.chars().count();
            }
        }
        self.sizes.push(size);
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.add(&function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.add(&function.block);
        visit::visit_impl_item_fn(self, function);
    }
}

fn module_path(file: &str) -> ModulePath {
    let inside = file.trim_start_matches("src/").trim_end_matches(".rs");
    if inside == "lib" {
        return Vec::new();
    }
    inside.split('/').map(str::to_owned).collect()
}

fn count_code_lines(code: &str) -> usize {
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
    code.lines().filter(is_code).count()
}

fn add_leaves(tree: &UseTree, prefix: &mut Vec<String>, leaves: &mut Vec<(Vec<String>, String)>) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            add_leaves(&path.tree, prefix, leaves);
            prefix.pop();
        }
        UseTree::Name(name) if name.ident == "self" => {
            let own = prefix.last().cloned().unwrap_or_default();
            leaves.push((prefix.clone(), own));
        }
        UseTree::Name(name) => add_leaf(&name.ident.to_string(), &name.ident, prefix, leaves),
        UseTree::Rename(name) => add_leaf(&name.rename.to_string(), &name.ident, prefix, leaves),
        UseTree::Glob(_) => {}
        UseTree::Group(group) => {
            for tree in &group.items {
                add_leaves(tree, prefix, leaves);
            }
        }
    }
}

fn add_leaf(
    name: &str,
    last: &syn::Ident,
    prefix: &[String],
    leaves: &mut Vec<(Vec<String>, String)>,
) {
    let mut path = prefix.to_vec();
    path.push(last.to_string());
    leaves.push((path, name.to_owned()));
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Ident>()
                .is_ok_and(|word| word == "test")
    };
    attributes.iter().any(is_test)
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
