//! Drain (He and others, 2017) for comparison: a tree of fixed depth over the count and the first words, then the most
//! similar cluster of the leaf.

use std::collections::HashMap;

use regex::Regex;

const ANY: &str = "<*>";

/// Most children of a node, as published.
const MOST_CHILDREN: usize = 100;

/// Settings of Drain.
pub struct Knobs {
    /// Depth of the tree as published; two levels are the root and the leaf.
    pub depth: usize,
    /// Least share of equal words.
    pub similarity: f64,
    /// Patterns replaced before splitting.
    pub patterns: &'static [&'static str],
}

/// The settings of the `LogPAI` benchmark for a set.
pub fn published(name: &str) -> Option<Knobs> {
    let knobs = |depth, similarity, patterns| Some(Knobs { depth, similarity, patterns });
    match name {
        "HDFS" => knobs(4, 0.5, &[r"blk_-?\d+", r"(\d+\.){3}\d+(:\d+)?"]),
        "Linux" => knobs(6, 0.39, &[r"(\d+\.){3}\d+", r"\d{2}:\d{2}:\d{2}"]),
        "Mac" => knobs(6, 0.7, &[r"([\w-]+\.){2,}[\w-]+"]),
        "OpenStack" => knobs(5, 0.5, &[r"((\d+\.){3}\d+,?)+", r"/.+?\s", r"\d+"]),
        _ => None,
    }
}

/// One setting for all sets: the defaults of the paper's tool and a pattern for addresses.
pub fn common() -> Knobs {
    Knobs { depth: 4, similarity: 0.4, patterns: &[r"(\d+\.){3}\d+(:\d+)?"] }
}

#[derive(Default)]
struct Node {
    children: HashMap<String, usize>,
    clusters: Vec<usize>,
}

/// The group of each line.
pub fn groups(lines: &[String], knobs: &Knobs) -> Vec<u64> {
    let patterns: Vec<_> = knobs.patterns.iter().filter_map(|pattern| Regex::new(pattern).ok()).collect();
    let mut nodes = vec![Node::default()];
    let mut clusters: Vec<Vec<String>> = Vec::new();
    let depth = knobs.depth - 2;
    let mut found = Vec::new();
    for line in lines {
        let line = patterns.iter().fold(line.clone(), |line, pattern| pattern.replace_all(&line, ANY).into_owned());
        let words: Vec<String> = line.split_whitespace().map(String::from).collect();
        let near = search(&nodes, &words, depth).and_then(|node| nearest(&nodes[node], &clusters, &words, knobs));
        let cluster = near.unwrap_or_else(|| {
            clusters.push(words.clone());
            let leaf = grow(&mut nodes, &words, depth);
            nodes[leaf].clusters.push(clusters.len() - 1);
            clusters.len() - 1
        });
        for (own, word) in clusters[cluster].iter_mut().zip(&words) {
            if own != word {
                *own = ANY.into();
            }
        }
        found.push(cluster as u64);
    }
    found
}

fn search(nodes: &[Node], words: &[String], depth: usize) -> Option<usize> {
    let mut node = *nodes[0].children.get(&words.len().to_string())?;
    for word in words.iter().take(depth.saturating_sub(1)) {
        let children = &nodes[node].children;
        node = *children.get(word).or_else(|| children.get(ANY))?;
    }
    Some(node)
}

fn grow(nodes: &mut Vec<Node>, words: &[String], depth: usize) -> usize {
    let mut node = child(nodes, 0, &words.len().to_string());
    for word in words.iter().take(depth.saturating_sub(1)) {
        let children = &nodes[node].children;
        let has_number = word.bytes().any(|byte| byte.is_ascii_digit());
        let room = children.len() + usize::from(!children.contains_key(ANY)) < MOST_CHILDREN;
        let name = if children.contains_key(word) || (!has_number && room) { word } else { ANY };
        node = child(nodes, node, name);
    }
    node
}

fn child(nodes: &mut Vec<Node>, node: usize, name: &str) -> usize {
    if let Some(child) = nodes[node].children.get(name) {
        return *child;
    }
    nodes.push(Node::default());
    let new = nodes.len() - 1;
    nodes[node].children.insert(name.into(), new);
    new
}

#[expect(clippy::cast_precision_loss, reason = "the counts are small")]
fn nearest(node: &Node, clusters: &[Vec<String>], words: &[String], knobs: &Knobs) -> Option<usize> {
    let mut best = None;
    for cluster in &node.clusters {
        let template = &clusters[*cluster];
        let variables = template.iter().filter(|word| *word == ANY).count();
        let equal = template.iter().zip(words).filter(|(own, word)| *own != ANY && own == word).count();
        let similarity = if words.is_empty() { 1.0 } else { equal as f64 / words.len() as f64 };
        let rank = (similarity, variables);
        if best.is_none_or(|(_, known)| rank > known) {
            best = Some((*cluster, rank));
        }
    }
    best.filter(|(_, (similarity, _))| *similarity >= knobs.similarity).map(|(cluster, _)| cluster)
}
