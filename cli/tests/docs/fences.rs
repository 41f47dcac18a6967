//! What is in a fence is run, or read, or says that it is neither.

use crate::{blocks, configuration, console, read, root};
use std::path::{Path, PathBuf};

/// Every page of ours, also those that nobody thought of listing.
pub(crate) fn pages() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = ["docs", "proto", "deploy"].map(|folder| root().join(folder)).into();
    let is_page = |path: &Path| path.extension().is_some_and(|ending| ending == "md");
    let here = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    found.extend(here.filter(|path| path.is_file() && is_page(path)));
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if is_page(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    found.iter().map(|path| path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned()).collect()
}

/// What becomes of a block on `page` with this label; a complaint, if nothing does.
fn judged(page: &str, label: &str) -> Result<(), String> {
    match label.split(' ').next().unwrap_or_default() {
        "" => {
            Err("say what it is: console or sh for commands, toml for a configuration, json, or text".into())
        }
        // `programs` runs or checks them, wherever they are.
        "sh" => Ok(()),
        "console" if console::PAGES.contains(&page) => Ok(()),
        "toml" if configuration::PAGES.contains(&page) => Ok(()),
        // Parsed here.
        "json" => Ok(()),
        "text" => Ok(()),
        other => Err(format!("nothing runs or reads {other} on this page; text says so")),
    }
}

#[test]
fn every_fence_says_what_becomes_of_it() {
    let pages = pages();
    assert!(pages.len() > 20, "{pages:?}");
    for page in pages {
        let text = read(&page);
        let other = text.lines().find(|line| line.trim_start().starts_with("~~~"));
        assert_eq!(other, None, "{page}: a fence is three back-quotes");
        for block in blocks(&text) {
            if block.info == "json" {
                serde_json::from_str::<serde_json::Value>(&block.text()).unwrap_or_else(|error| {
                    panic!("{page}: {error}\n{}", block.text());
                });
            }
            if let Err(why) = judged(&page, &block.info) {
                panic!("{page}: ```{}: {why}\n{}", block.info, block.text());
            }
        }
    }
}

#[test]
fn a_fence_without_a_label_or_a_reader_is_refused() {
    for (page, label) in
        [("README.md", ""), ("docs/glossary.md", "console"), ("README.md", "toml"), ("README.md", "bash")]
    {
        judged(page, label).unwrap_err();
    }
    for (page, label) in [("README.md", "console exit=1"), ("docs/glossary.md", "text"), ("docs/x.md", "sh")]
    {
        judged(page, label).unwrap();
    }
}
