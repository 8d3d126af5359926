//! Exercise 3: a lock covers an invariant, not a variable.

use std::fmt;

use labrt::sync::Mutex;

/// One of a bank's two accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// The first account.
    Alice,
    /// The second account.
    Bob,
}

/// The account to be charged holds less than the amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InsufficientFunds;

impl fmt::Display for InsufficientFunds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the account holds less than the amount")
    }
}

impl std::error::Error for InsufficientFunds {}

/// Two accounts. Money moves between them, so their sum never changes.
#[derive(Debug)]
pub struct Bank {
    // handout: drop classic
    /// One lock for both: the sum is a statement about the two together.
    balances: Mutex<[u64; 2]>,
    // handout: end
    // handout: put classic
    // // Your data here.
    // handout: end
}

// handout: bodies 0B
impl Bank {
    /// A bank with these balances.
    pub fn new(alice: u64, bob: u64) -> Bank {
        Bank { balances: Mutex::new([alice, bob]) }
    }

    /// Moves an amount from one account to the other.
    ///
    /// The lock is held from the test of the balance to the second update. Between the two updates the sum is
    /// wrong, and nobody may look.
    ///
    /// # Errors
    /// [`InsufficientFunds`]; nothing has moved then.
    pub fn transfer(&self, from: Account, to: Account, amount: u64) -> Result<(), InsufficientFunds> {
        let mut balances = self.balances.lock();
        let left = balances[from as usize].checked_sub(amount).ok_or(InsufficientFunds)?;
        balances[from as usize] = left;
        balances[to as usize] += amount;
        Ok(())
    }

    /// The sum of all balances.
    pub fn audit(&self) -> u64 {
        self.balances.lock().iter().sum()
    }
}
