//! The queries that wait for their request.

use std::collections::VecDeque;
use std::time::Duration;

use tokenwatch_core::world::cluster::AccountName;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// Queries in the order in which they came, each account once.
pub(super) struct QueryQueue {
    queries: Receiver<AccountName>,
    waiting: VecDeque<AccountName>,
    /// The last query, if it failed.
    pub(super) failed: Option<AccountName>,
    retry: Duration,
}

impl QueryQueue {
    pub(super) fn new(queries: Receiver<AccountName>, retry: Duration) -> Self {
        Self { queries, waiting: VecDeque::new(), failed: None, retry }
    }

    /// The next query; none once the engine has dropped the channel.
    pub(super) async fn next(&mut self) -> Option<AccountName> {
        if self.waiting.is_empty() {
            let first = self.wait().await?;
            self.push(first);
        }
        while let Ok(account) = self.queries.try_recv() {
            self.push(account);
        }
        self.waiting.pop_front()
    }

    async fn wait(&mut self) -> Option<AccountName> {
        let Some(failed) = self.failed.take() else { return self.queries.recv().await };
        timeout(self.retry, self.queries.recv()).await.unwrap_or(Some(failed))
    }

    fn push(&mut self, account: AccountName) {
        if !self.waiting.contains(&account) {
            self.waiting.push_back(account);
        }
    }
}
