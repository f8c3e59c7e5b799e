//! Walks the search tree of a MaxMind DB file (MaxMind DB File Format Specification 2.0, "Binary
//! Search Tree Section").
//!
//! The walk of the `maxminddb` library does not bound its work: a hostile file in which both
//! children of every node are the next node takes exponential time. This walk fails once it has
//! visited more nodes than the tree has.

use super::address::AddressBits;

/// The tree of a file: two records per node.
#[derive(Debug, Clone, Copy)]
pub struct SearchTree<'a> {
    octets: &'a [u8],
    nodes: u32,
    /// Octets of a node: 6, 7 or 8.
    node_size: usize,
    /// The tree is keyed by IPv6 addresses; IPv4 ones lie under ::/96.
    wide: bool,
}

/// The tree has a cycle or shared nodes, or is truncated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DamagedTree;

impl<'a> SearchTree<'a> {
    /// The tree at the start of a file; `record_size` in bits, `ip_version` 4 or 6.
    pub fn new(
        file: &'a [u8],
        nodes: u32,
        record_size: u16,
        ip_version: u16,
    ) -> Result<Self, DamagedTree> {
        let node_size = match record_size {
            24 | 28 | 32 => usize::from(record_size) / 4,
            _ => return Err(DamagedTree),
        };
        let length = (nodes as usize).checked_mul(node_size).ok_or(DamagedTree)?;
        Ok(SearchTree {
            octets: file.get(..length).ok_or(DamagedTree)?,
            nodes,
            node_size,
            wide: ip_version == 6,
        })
    }

    /// The same nodes in two parts. They are not trees any more, but have [records](Self::records).
    pub fn halves(self) -> [SearchTree<'a>; 2] {
        let (lower, upper) = self
            .octets
            .split_at(self.nodes as usize / 2 * self.node_size);
        [lower, upper].map(|octets| SearchTree { octets, ..self })
    }

    /// The record of every leaf, in no particular order, including unreachable leaves.
    pub fn records(self) -> impl Iterator<Item = u32> + 'a {
        let pairs = self
            .octets
            .chunks_exact(self.node_size)
            .filter_map(children);
        pairs.flatten().filter(move |&record| record > self.nodes)
    }

    /// How far the records are behind the first possible one.
    pub fn offsets(self, first: usize) -> impl Iterator<Item = usize> + 'a {
        self.records()
            .map(move |record| (record as usize).wrapping_sub(first))
    }

    /// Every leaf of one address family in order, starting with the one that contains `from`. Each
    /// has its first address and its record, or `None` where there is no data. IPv4 inside IPv6 is
    /// left out, because such addresses are translated before any look-up.
    pub fn leaves<A: AddressBits>(self, from: A) -> TreeLeaves<'a, A> {
        let embedded = if self.wide {
            self.embedded_root()
        } else {
            None
        };
        let (root, alias) = match (A::BITS, self.wide) {
            (32, false) => (Some(0), None),
            (32, true) => (embedded, None),
            (_, true) => (Some(0), embedded),
            (_, false) => (None, None),
        };
        let mut leaves = TreeLeaves {
            tree: self,
            alias,
            stack: Vec::new(),
            left: u64::from(self.nodes) * 2 + 2,
        };
        if let Some(node) = root.filter(|_| self.nodes > 0) {
            leaves.descend(
                Pending {
                    node,
                    depth: 0,
                    first: A::default(),
                },
                from,
            );
        }
        leaves
    }

    /// The node of ::/96, if the tree is that deep.
    fn embedded_root(self) -> Option<u32> {
        (0..96)
            .try_fold(0, |node, _| {
                (node < self.nodes)
                    .then(|| self.children(node))
                    .flatten()
                    .map(|pair| pair[0])
            })
            .filter(|&node| node < self.nodes && node != 0)
    }

    #[inline]
    fn children(self, node: u32) -> Option<[u32; 2]> {
        let at = node as usize * self.node_size;
        children(self.octets.get(at..at + self.node_size)?)
    }
}

/// The two records of a node of 6, 7 or 8 octets.
#[inline]
fn children(node: &[u8]) -> Option<[u32; 2]> {
    Some(match *node {
        [a, b, c, d, e, f] => [
            u32::from_be_bytes([0, a, b, c]),
            u32::from_be_bytes([0, d, e, f]),
        ],
        [a, b, c, high, d, e, f] => [
            u32::from_be_bytes([high >> 4, a, b, c]),
            u32::from_be_bytes([high & 0xf, d, e, f]),
        ],
        [a, b, c, d, e, f, g, h] => [
            u32::from_be_bytes([a, b, c, d]),
            u32::from_be_bytes([e, f, g, h]),
        ],
        _ => return None,
    })
}

/// Iterator over the leaves of a [`SearchTree`].
#[derive(Debug)]
pub struct TreeLeaves<'a, A> {
    tree: SearchTree<'a>,
    /// The node that represents the whole IPv4 space, wherever it occurs.
    alias: Option<u32>,
    stack: Vec<Pending<A>>,
    /// The remaining number of nodes that a valid tree can have.
    left: u64,
}

#[derive(Debug, Clone, Copy)]
struct Pending<A> {
    node: u32,
    depth: u32,
    first: A,
}

impl<A: AddressBits> TreeLeaves<'_, A> {
    /// Pushes the part of `at` from an address on: the leaf that contains it, and every upper half
    /// beside the path to it.
    fn descend(&mut self, mut at: Pending<A>, from: A) {
        while at.first < from
            && at.node < self.tree.nodes
            && Some(at.node) != self.alias
            && at.depth < A::BITS
        {
            let Some([lower, upper]) = self.tree.children(at.node) else {
                break;
            };
            let half = Pending {
                node: upper,
                depth: at.depth + 1,
                first: at.first.upper_half(at.depth),
            };
            if from < half.first {
                self.stack.push(half);
                at = Pending {
                    node: lower,
                    depth: at.depth + 1,
                    first: at.first,
                };
            } else {
                at = half;
            }
        }
        self.stack.push(at);
    }
}

impl<A: AddressBits> Iterator for TreeLeaves<'_, A> {
    type Item = Result<(A, Option<u32>), DamagedTree>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let mut at = self.stack.pop()?;
        while at.node < self.tree.nodes && Some(at.node) != self.alias {
            let Some([lower, upper]) = self
                .tree
                .children(at.node)
                .filter(|_| at.depth < A::BITS && self.left > 0)
            else {
                self.stack.clear();
                return Some(Err(DamagedTree));
            };
            self.left -= 1;
            self.stack.push(Pending {
                node: upper,
                depth: at.depth + 1,
                first: at.first.upper_half(at.depth),
            });
            at = Pending {
                node: lower,
                depth: at.depth + 1,
                first: at.first,
            };
        }
        Some(Ok((
            at.first,
            (at.node > self.tree.nodes).then_some(at.node),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nodes of 24-bit records.
    fn octets(nodes: &[[u32; 2]]) -> Vec<u8> {
        nodes
            .iter()
            .flatten()
            .flat_map(|record| record.to_be_bytes()[1..].to_vec())
            .collect()
    }

    #[test]
    fn leaves_come_in_order_with_their_gaps() {
        let file = octets(&[[1, 20], [2, 21]]);
        let leaves: Vec<_> = SearchTree::new(&file, 2, 24, 4)
            .unwrap()
            .leaves(0u32)
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            leaves,
            [(0, None), (1 << 30, Some(21)), (1 << 31, Some(20))]
        );
        assert_eq!(
            SearchTree::new(&file, 2, 24, 4)
                .unwrap()
                .leaves(0u128)
                .count(),
            0
        );
    }

    #[test]
    fn the_records_are_those_of_all_leaves() {
        let file = octets(&[[1, 20], [2, 21]]);
        assert_eq!(
            SearchTree::new(&file, 2, 24, 4)
                .unwrap()
                .records()
                .collect::<Vec<_>>(),
            [20, 21]
        );
        // No address leads to the second node.
        let file = octets(&[[2, 20], [21, 22]]);
        assert_eq!(
            SearchTree::new(&file, 2, 24, 4)
                .unwrap()
                .records()
                .collect::<Vec<_>>(),
            [20, 21, 22]
        );
    }

    #[test]
    fn leaves_from_an_address_on_are_the_last_ones_of_all() {
        let file = octets(&[[1, 20], [2, 21], [22, 3], [4, 23], [24, 25]]);
        let tree = SearchTree::new(&file, 5, 24, 4).unwrap();
        let all: Vec<_> = tree.leaves(0u32).map(Result::unwrap).collect();
        let edges = all
            .iter()
            .flat_map(|(first, _)| [first.saturating_sub(1), *first, first + 1]);
        for from in edges.chain([u32::MAX]) {
            let expected: Vec<_> =
                all[all.partition_point(|(first, _)| *first <= from) - 1..].to_vec();
            assert_eq!(
                tree.leaves(from).map(Result::unwrap).collect::<Vec<_>>(),
                expected,
                "from {from:x}"
            );
        }
    }

    #[test]
    fn nodes_of_28_and_32_bits() {
        let middle = [0x12, 0x34, 0x56, 0xab, 0x78, 0x9a, 0xbc];
        let tree = SearchTree {
            octets: &middle,
            nodes: 1,
            node_size: 7,
            wide: false,
        };
        assert_eq!(tree.children(0), Some([0xa12_3456, 0xb78_9abc]));
        let large = [0, 0, 1, 2, 3, 0, 0, 4];
        let tree = SearchTree {
            octets: &large,
            nodes: 1,
            node_size: 8,
            wide: false,
        };
        assert_eq!(tree.children(0), Some([0x102, 0x300_0004]));
    }

    #[test]
    fn a_tree_that_shares_its_nodes_is_given_up_soon() {
        let nodes: Vec<[u32; 2]> = (1..=100).map(|next| [next, next]).collect();
        let file = octets(&nodes);
        let mut leaves = SearchTree::new(&file, 100, 24, 6).unwrap().leaves(0u128);
        let seen = leaves.by_ref().take(1_000).filter(Result::is_ok).count();
        assert!(seen < 300, "{seen} leaves");
        let circle = octets(&[[0, 0]]);
        assert!(
            SearchTree::new(&circle, 1, 24, 4)
                .unwrap()
                .leaves(0u32)
                .any(|leaf| leaf.is_err())
        );
    }

    #[test]
    fn a_tree_longer_than_its_file_is_refused() {
        assert!(SearchTree::new(&[0; 11], 2, 24, 4).is_err());
        assert!(SearchTree::new(&[0; 12], 2, 25, 4).is_err());
    }
}
