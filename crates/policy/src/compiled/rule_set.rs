//! A set of rules as bits: rule `i` of the sorted policy is bit `i`.

/// Some of the rules of one policy. Sets of one policy have one length.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RuleSet(Vec<u64>);

impl RuleSet {
    /// No rule of `rules`.
    pub(crate) fn empty(rules: usize) -> Self {
        Self(vec![0; rules.div_ceil(64)])
    }

    pub(crate) fn insert(&mut self, rule: usize) {
        if let Some(word) = self.0.get_mut(rule / 64) {
            *word |= 1 << (rule % 64);
        }
    }

    pub(crate) fn contains(&self, rule: usize) -> bool {
        self.0.get(rule / 64).is_some_and(|word| word >> (rule % 64) & 1 == 1)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Adds what is in `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        self.combine(other, |mine, theirs| mine | theirs);
    }

    /// Keeps what is in `other` as well.
    pub(crate) fn keep(&mut self, other: &Self) {
        self.combine(other, |mine, theirs| mine & theirs);
    }

    /// Takes out what is in `other`.
    pub(crate) fn remove(&mut self, other: &Self) {
        self.combine(other, |mine, theirs| mine & !theirs);
    }

    fn combine(&mut self, other: &Self, op: impl Fn(u64, u64) -> u64) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine = op(*mine, *theirs);
        }
    }

    /// What is in both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.keep(other);
        both
    }

    /// The rules, in the order of their ids.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(i, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                left &= left.checked_sub(1)?;
                Some(i * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_in_order() {
        let mut set = RuleSet::empty(130);
        for rule in [129, 0, 64, 63, 7] {
            set.insert(rule);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 7, 63, 64, 129]);
        assert!(set.contains(64) && !set.contains(65) && !set.contains(1_000));
    }

    #[test]
    fn sets_are_combined_bit_by_bit() {
        let of = |rules: &[usize]| {
            let mut set = RuleSet::empty(70);
            for rule in rules {
                set.insert(*rule);
            }
            set
        };
        let mut set = of(&[1, 2]);
        set.add(&of(&[69]));
        assert_eq!(set, of(&[1, 2, 69]));
        set.remove(&of(&[2]));
        assert_eq!(set.and(&of(&[69, 3])), of(&[69]));
        assert!(of(&[]).is_empty() && !set.is_empty());
    }
}
