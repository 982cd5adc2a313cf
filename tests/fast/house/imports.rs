//! Tests of imports: the layers of the code, and no cycle between files of different folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex_lite::Regex;

/// A folder below `src/` or the hooks, and what its files may import of ours. Everything else is an arrow that
/// runs back up.
const FLOORS: &[(&str, &[&str])] = &[
    ("src/domain", &["domain"]),
    ("src/store", &["domain", "store"]),
    ("src/adapters", &["adapters", "domain"]),
    ("src/app", &["adapters", "app", "domain", "store"]),
    ("src/cli", &["adapters", "app", "cli", "domain", "store"]),
    ("src/bin", &["cli"]),
    ("hooks", &["adapters", "app", "domain", "store"]),
];

/// A module of the library by its path below `crate`, such as `["domain", "lock", "queue"]`.
type Module = Vec<String>;

/// One source file and what it imports of the library.
struct File {
    /// Relative to the repository.
    name: String,
    module: Module,
    imports: BTreeSet<Module>,
}

/// The code of a file without comments and without the tests inside of it.
fn code(text: &str) -> String {
    let end = text.find("\n#[cfg(test)]\nmod ").unwrap_or(text.len());
    text[..end].lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn flat(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let body = rest.rsplit_once('}').map_or(rest, |(body, _)| body);
    let (mut depth, mut parts) = (0_i32, vec![String::new()]);
    for c in body.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        if c == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().unwrap().push(c);
        }
    }
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.flat_map(flat).map(|part| format!("{}{part}", prefix.trim_start())).collect()
}

fn module_of(name: &str) -> Module {
    let path = name.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|part| *part != "lib").map(str::to_owned).collect()
}

/// Every path of the library that the code names, absolute or by `super`.
fn paths(code: &str, module: &Module, is_program: bool) -> Vec<Module> {
    let statement = Regex::new(r"(?m)^\s*(?:pub(?:\([a-z ]+\))? )?use ([^;]+);").unwrap();
    let inline = Regex::new(r"\b(?:crate|super|cmw)(?:::\w+)+").unwrap();
    let mut found: Vec<String> = statement.captures_iter(code).flat_map(|it| flat(&it[1])).collect();
    let rest = statement.replace_all(code, "");
    found.extend(inline.find_iter(&rest).map(|it| it.as_str().to_owned()));
    let absolute = |path: &String| {
        let path = path.split(" as ").next().unwrap_or_default();
        let parts: Vec<&str> = path.split("::").map(str::trim).filter(|part| *part != "self").collect();
        let up = parts.iter().take_while(|part| **part == "super").count();
        match parts.first() {
            Some(&"cmw") if is_program => Some(parts[1..].iter().map(|part| (*part).to_owned()).collect()),
            Some(&"crate") if !is_program => Some(parts[1..].iter().map(|part| (*part).to_owned()).collect()),
            Some(&"super") if !is_program => {
                let mut path = module[..module.len().saturating_sub(up)].to_vec();
                path.extend(parts[up..].iter().map(|part| (*part).to_owned()));
                Some(path)
            }
            Some(_) | None => None,
        }
    };
    found.iter().filter_map(absolute).collect()
}

fn files() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let walk = |dir: &str| walkdir::WalkDir::new(root.join(dir)).sort_by_file_name().into_iter();
    let mut files = Vec::new();
    for entry in walk("src").chain(walk("hooks")) {
        let path = entry.unwrap().into_path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if !name.ends_with(".rs") || name.ends_with("tests.rs") {
            continue;
        }
        let (module, is_program) =
            (module_of(&name), name.starts_with("hooks/") || name.starts_with("src/bin/"));
        let code = code(&std::fs::read_to_string(&path).unwrap());
        let imports = paths(&code, &module, is_program).into_iter().filter(|path| *path != module).collect();
        files.push(File { name, module, imports });
    }
    files
}

#[test]
fn imports_go_down() {
    let files = files();
    let mut up = Vec::new();
    for file in &files {
        let floor = FLOORS.iter().find(|(dir, _)| file.name.starts_with(&format!("{dir}/")));
        let Some((_, may)) = floor else { continue };
        let above =
            file.imports.iter().filter(|path| path.first().is_some_and(|it| !may.contains(&it.as_str())));
        up.extend(above.map(|path| format!("{} imports {}", file.name, path.join("::"))));
    }
    assert!(files.len() > 200, "the sources were not found");
    assert!(up.is_empty(), "arrows that run back up:\n{}", up.join("\n"));
}

/// The files of the library that each file imports: the longest part of a path that is a module.
fn graph(files: &[File]) -> BTreeMap<&str, BTreeSet<&str>> {
    let library =
        files.iter().filter(|file| file.name.starts_with("src/") && !file.name.starts_with("src/bin/"));
    let by_module: BTreeMap<&Module, &str> = library.map(|file| (&file.module, file.name.as_str())).collect();
    let target =
        |path: &Module| (1..=path.len()).rev().find_map(|end| by_module.get(&path[..end].to_vec()).copied());
    let edges = |file: &File| -> BTreeSet<&str> {
        file.imports.iter().filter_map(target).filter(|name| *name != file.name).collect()
    };
    let library = files.iter().filter(|file| by_module.get(&file.module) == Some(&file.name.as_str()));
    library.map(|file| (file.name.as_str(), edges(file))).collect()
}

/// Everything that can be reached from a file.
fn reachable<'a>(from: &'a str, graph: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(file) = open.pop() {
        for next in graph.get(file).into_iter().flatten() {
            if seen.insert(*next) {
                open.push(next);
            }
        }
    }
    seen
}

#[test]
fn files_of_different_folders_form_no_circle() {
    let files = files();
    let graph = graph(&files);
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|file| (*file, reachable(file, &graph))).collect();
    let folder = |name: &str| name.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
    let mut circles = Vec::new();
    for (file, ahead) in &reach {
        let back =
            ahead.iter().filter(|other| reach[**other].contains(file) && folder(other) != folder(file));
        circles.extend(back.filter(|other| **file < ***other).map(|other| format!("{file} and {other}")));
    }
    assert!(graph.values().map(BTreeSet::len).sum::<usize>() > 1_000, "the imports were not understood");
    assert!(
        circles.is_empty(),
        "these import each other, directly or through others:\n{}",
        circles.join("\n")
    );
}

#[test]
fn use_trees_are_read() {
    assert_eq!(
        flat("crate::a::{b, c::{self, D}, e as f}"),
        ["crate::a::b", "crate::a::c::self", "crate::a::c::D", "crate::a::e as f"]
    );
    let module = module_of("src/domain/lock/mod.rs");
    assert_eq!(module, ["domain", "lock"]);
    let found = paths("use super::state::State;\nlet x = crate::store::disk::Disk;", &module, false);
    assert_eq!(found, [vec!["domain", "state", "State"], vec!["store", "disk", "Disk"]]);
}
