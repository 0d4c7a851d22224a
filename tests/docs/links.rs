//! Whether a page's links to other pages and files of the repository lead somewhere.

use crate::page::{Page, root};

/// Every link that leads nowhere.
pub fn broken(page: &Page) -> Vec<String> {
    let link = regex::Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let prose = prose(&page.text);
    let targets = link.captures_iter(&prose).map(|c| c[1].to_owned());
    targets.filter(|t| !t.contains("://")).filter_map(|target| leads_nowhere(page, &target)).collect()
}

/// The text without its fenced blocks.
fn prose(text: &str) -> String {
    let mut inside = false;
    let outside = text.lines().filter(|line| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    outside.map(|line| format!("{line}\n")).collect()
}

fn leads_nowhere(page: &Page, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let here = root().join(&page.name);
    let path = if file.is_empty() { here } else { here.parent()?.join(file) };
    let Ok(metadata) = path.metadata() else { return Some(format!("{}: {target} does not exist", page.name)) };
    if anchor.is_empty() || metadata.is_dir() {
        return None;
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let found = prose(&text).lines().filter(|l| l.starts_with('#')).any(|heading| anchor_of(heading) == anchor);
    (!found).then(|| format!("{}: {target} names a heading that is not there", page.name))
}

/// As GitHub makes them: lower case, blanks as hyphens, signs left out.
fn anchor_of(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_nothing_is_found_and_one_in_a_block_is_none() {
        let text = "# A page\n[a](docs/x.md) [b](README.md) [c](#a-page) [d](#no)\n[e](https://x/y)\n```\n[f](no.md)\n```\n";
        let page = Page { name: "README.md".to_owned(), text: text.to_owned() };
        let broken = broken(&page);
        // The headings are looked up in the file that is there, which has neither.
        assert!(broken.iter().any(|b| b.contains("docs/x.md")) && broken.iter().any(|b| b.contains("#no")), "{broken:?}");
        assert!(!broken.iter().any(|b| b.contains("no.md") || b.contains("README.md ")), "{broken:?}");
        assert_eq!(anchor_of("## What it costs, `now`"), "what-it-costs-now");
    }
}
