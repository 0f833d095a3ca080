//! Group commit: what is asked for at about the same time is done in one transaction.
//!
//! Nobody waits for others to come. Who comes while few transactions run begins one at once; who
//! comes later goes with all who came meanwhile. What a database refuses to many is tried again for
//! each alone, so that nobody fails for what another has asked. Who has another share waits for
//! nobody, unless very many run.

use std::{
    collections::VecDeque,
    fmt, mem, slice,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

use crate::db::{self, AsStoreError, StoreError};

/// What a group does.
pub(crate) trait Work: Send + Sync + 'static {
    type Ask: Send + Sync + 'static;
    type Done: Send + 'static;
    type Error: AsStoreError + From<StoreError> + Send + 'static;
    /// Only who has the same shares a transaction.
    type Share: PartialEq + Send + 'static;
    /// Transactions of one share at once: while one waits for its commit, the next does its work.
    /// One, if they would only wait for each other.
    const RUNNING_MAX: usize = 2;
    /// So long it is waited for what becomes of them. Shorter than who asks waits.
    const ANSWER_MAX: Duration = Duration::from_secs(25);

    fn share(ask: &Self::Ask) -> Self::Share;

    /// One answer for each, in their order. An error: the transaction is undone, for whatever of
    /// them.
    fn together(
        &self,
        asks: &[Self::Ask],
    ) -> impl Future<Output = Result<Vec<Answer<Self>>, Self::Error>> + Send;
}

/// To one who asked.
pub(crate) type Answer<W> = Result<<W as Work>::Done, <W as Work>::Error>;

/// Those who ask. Cheap to clone.
pub(crate) struct Group<W: Work>(Arc<Inner<W>>);

struct Inner<W: Work> {
    work: W,
    line: Mutex<Line<W>>,
    room: Arc<Semaphore>,
}

struct Line<W: Work> {
    waiting: VecDeque<Waiting<W>>,
    /// The share of each transaction that runs.
    running: Vec<W::Share>,
}

struct Waiting<W: Work> {
    ask: W::Ask,
    tell: Tell<W>,
}

struct Tell<W: Work> {
    answer: oneshot::Sender<Answer<W>>,
    /// Taken until there is an answer, also if nobody hears it.
    _place: OwnedSemaphorePermit,
}

impl<W: Work> Tell<W> {
    fn tell(self, answer: Answer<W>) {
        // Who went away does not hear it.
        let _gone = self.answer.send(answer);
    }
}

impl<W: Work> Group<W> {
    pub(crate) fn new(work: W) -> Self {
        let line = Mutex::new(Line { waiting: VecDeque::new(), running: Vec::new() });
        Self(Arc::new(Inner { work, line, room: Arc::new(Semaphore::new(ROOM)) }))
    }

    /// Done also if the caller goes away meanwhile.
    #[expect(clippy::disallowed_methods, reason = "who asks waits for it, and a stop for who asks")]
    pub(crate) async fn ask(&self, ask: W::Ask) -> Answer<W> {
        let room = Arc::clone(&self.0.room);
        let place = room.acquire_owned().await.expect("nobody closes it");
        let (answer, told) = oneshot::channel();
        let tell = Tell { answer, _place: place };
        let some = {
            let mut line = self.0.line();
            line.waiting.push_back(Waiting { ask, tell });
            line.next()
        };
        if !some.is_empty() {
            tokio::spawn(Arc::clone(&self.0).run(some));
        }
        told.await.expect("it is answered unless it panics, and then so does this")
    }
}

impl<W: Work> Inner<W> {
    /// Until nobody waits who may run.
    #[expect(clippy::disallowed_methods, reason = "it is waited for at once")]
    async fn run(self: Arc<Self>, mut some: Vec<Waiting<W>>) {
        while let Some(share) = some.first().map(|waiting| W::share(&waiting.ask)) {
            // A task of its own: should it panic, the line goes on.
            let this = Arc::clone(&self);
            if let Err(error) = tokio::spawn(async move { this.answer(some).await }).await {
                tracing::error!(%error, "a group of requests has no answer");
            }
            let mut line = self.line();
            let at = line.running.iter().position(|running| *running == share);
            line.running.swap_remove(at.expect("it ran"));
            some = line.next();
        }
    }

    async fn answer(&self, some: Vec<Waiting<W>>) {
        let (asks, tells): (Vec<_>, Vec<_>) =
            some.into_iter().map(|waiting| (waiting.ask, waiting.tell)).unzip();
        let answers = match timeout(W::ANSWER_MAX, self.answers(&asks)).await {
            Ok(answers) => answers,
            // What became of it is not known.
            Err(_elapsed) => unavailable::<W>(asks.len()),
        };
        assert_eq!(answers.len(), tells.len(), "each is answered");
        for (answer, tell) in answers.into_iter().zip(tells) {
            tell.tell(answer);
        }
    }

    async fn answers(&self, asks: &[W::Ask]) -> Vec<Answer<W>> {
        let error = match db::retry(|| self.work.together(asks)).await {
            Ok(answers) => return answers,
            Err(error) => error,
        };
        match error.as_store_error() {
            Some(store) if store.is_unavailable() => {
                if store.has_no_connection() {
                    // Nobody waits in a line for a database that is not there.
                    let line = mem::take(&mut self.line().waiting);
                    for waiting in line {
                        waiting.tell.tell(Err(StoreError::unavailable().into()));
                    }
                }
                // Perhaps it was committed: it is not tried again.
                unavailable::<W>(asks.len())
            }
            Some(_) | None if asks.len() == 1 => vec![Err(error)],
            Some(_) | None => {
                let mut answers = Vec::with_capacity(asks.len());
                for ask in asks {
                    answers.push(self.alone(ask).await);
                }
                answers
            }
        }
    }

    async fn alone(&self, ask: &W::Ask) -> Answer<W> {
        let mut one = db::retry(|| self.work.together(slice::from_ref(ask))).await?;
        one.pop().expect("one is answered")
    }

    /// Every change of it is one statement, so a panic in between leaves nothing half done.
    fn line(&self) -> MutexGuard<'_, Line<W>> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Work> Line<W> {
    /// Who runs now: the first whose share may, and those behind with the same. None: all wait.
    fn next(&mut self) -> Vec<Waiting<W>> {
        if self.running.len() >= ALL_RUNNING_MAX {
            return Vec::new();
        }
        let may = |share: &W::Share| {
            self.running.iter().filter(|running| *running == share).count() < W::RUNNING_MAX
        };
        let shares = self.waiting.iter().map(|waiting| W::share(&waiting.ask));
        let Some(share) = shares.into_iter().find(may) else { return Vec::new() };
        let some = take(&mut self.waiting, |waiting| W::share(&waiting.ask) == share);
        self.running.push(share);
        some
    }
}

/// Those that are meant, but not too many; the others keep their order.
fn take<T>(waiting: &mut VecDeque<T>, is_meant: impl Fn(&T) -> bool) -> Vec<T> {
    let mut some = Vec::new();
    let mut rest = VecDeque::new();
    for one in waiting.drain(..) {
        if some.len() < TOGETHER_MAX && is_meant(&one) {
            some.push(one);
        } else {
            rest.push_back(one);
        }
    }
    *waiting = rest;
    some
}

fn unavailable<W: Work>(count: usize) -> Vec<Answer<W>> {
    (0..count).map(|_| Err(StoreError::unavailable().into())).collect()
}

impl<W: Work> Clone for Group<W> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<W: Work> fmt::Debug for Group<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group").finish_non_exhaustive()
    }
}

/// Transactions of all shares at once. There are more connections, for who asks for something else.
const ALL_RUNNING_MAX: usize = 8;
/// More gain little, and hold what they have locked for longer.
const TOGETHER_MAX: usize = 32;
/// Who comes when so many wait, waits before the line.
const ROOM: usize = 1_024;

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, ops::Range};

    use tokio::{sync::Notify, task::JoinSet};

    use super::*;
    use crate::db::StoreError;

    /// Doubles numbers, when it is let. Remembers who went together.
    #[derive(Default)]
    struct Double {
        went: Mutex<Vec<Vec<u64>>>,
        open: Notify,
        /// They must not go with others.
        alone: Vec<u64>,
    }

    /// Even and odd ones do not go together.
    impl Work for Arc<Double> {
        type Ask = u64;
        type Done = u64;
        type Error = StoreError;
        type Share = bool;
        const ANSWER_MAX: Duration = Duration::from_secs(5);

        fn share(ask: &u64) -> bool {
            ask.is_multiple_of(2)
        }

        async fn together(&self, asks: &[u64]) -> Result<Vec<Answer<Self>>, StoreError> {
            self.went.lock().unwrap().push(asks.to_vec());
            if asks.len() == 1 {
                self.open.notified().await;
            }
            assert!(!asks.contains(&PANIC), "as asked for");
            if asks.iter().any(|ask| AWAY.contains(ask)) {
                return Err(StoreError::unavailable());
            }
            if asks.len() > 1 && asks.iter().any(|ask| self.alone.contains(ask)) {
                return Err(StoreError::Rows { want: 0, rows: 1 });
            }
            Ok(asks.iter().map(|ask| Ok(ask * 2)).collect())
        }
    }

    const PANIC: u64 = 999_999;
    const AWAY: Range<u64> = 888_800..888_810;

    /// Asks one after the other, and lets the first of them go when all are in the line.
    async fn ask(work: &Arc<Double>, asks: &[u64]) -> Vec<Option<u64>> {
        let group = Group::new(Arc::clone(work));
        let mut tasks = JoinSet::new();
        for ask in asks.iter().copied() {
            let group = group.clone();
            tasks.spawn(async move {
                let answer = group.ask(ask).await;
                (ask, answer.map_err(|error| assert!(error.is_unavailable(), "{error}")).ok())
            });
            // It is in the line, or runs.
            tokio::task::yield_now().await;
        }
        let open = async {
            loop {
                work.open.notify_waiters();
                tokio::task::yield_now().await;
            }
        };
        let answers = async {
            let mut answers = BTreeMap::new();
            while let Some(task) = tasks.join_next().await {
                // Those that panicked have none.
                answers.extend(task.ok());
            }
            asks.iter().map(|ask| answers.get(ask).copied().flatten()).collect()
        };
        let all = async {
            tokio::select! {
                () = open => unreachable!("it goes on"),
                answers = answers => answers,
            }
        };
        timeout(Duration::from_secs(20), all).await.unwrap()
    }

    #[tokio::test]
    async fn who_comes_while_others_run_goes_together() {
        let work = Arc::new(Double::default());
        let answers = ask(&work, &[2, 4, 6, 8, 1, 10, 3]).await;
        assert_eq!(answers, [4, 8, 12, 16, 2, 20, 6].map(Some));
        let went = work.went.lock().unwrap().clone();
        // Odd ones do not wait for even ones.
        assert_eq!(went.get(..4), Some([vec![2], vec![4], vec![1], vec![3]].as_slice()));
        assert_eq!(went.get(4..), Some([vec![6, 8, 10]].as_slice()));
    }

    #[tokio::test]
    async fn nobody_fails_for_what_another_has_asked() {
        let work = Arc::new(Double { alone: vec![6], ..Double::default() });
        let answers = ask(&work, &[2, 4, 6, 8]).await;
        assert_eq!(answers, [4, 8, 12, 16].map(Some));
        let went = work.went.lock().unwrap().clone();
        assert!(went.contains(&vec![6, 8]) && went.contains(&vec![6]), "{went:?}");
    }

    #[tokio::test]
    async fn a_panic_ends_only_those_who_went_with_it() {
        let work = Arc::new(Double::default());
        let answers = ask(&work, &[2, 4, PANIC, 8]).await;
        assert_eq!(answers, [Some(4), Some(8), None, Some(16)]);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_database_that_is_not_there() {
        let work = Arc::new(Double::default());
        let answers = ask(&work, &[AWAY.start, AWAY.start + 2, 4, 6]).await;
        assert_eq!(answers, [None; 4]);
        let went = work.went.lock().unwrap().clone();
        assert_eq!(went.len(), 2, "{went:?}");
    }

    #[tokio::test]
    async fn who_hears_nothing_does_not_wait_for_ever() {
        let work = Arc::new(Double::default());
        let group = Group::new(Arc::clone(&work));
        let error = group.ask(2).await.unwrap_err();
        assert!(error.is_unavailable(), "{error}");
    }

    #[test]
    fn no_more_than_some_go_together() {
        let mut waiting: VecDeque<_> = (0..TOGETHER_MAX + 3).collect();
        assert_eq!(take(&mut waiting, |_| true).len(), TOGETHER_MAX);
        assert_eq!(
            take(&mut waiting, |n| *n != TOGETHER_MAX + 1),
            [TOGETHER_MAX, TOGETHER_MAX + 2]
        );
        assert_eq!(take(&mut waiting, |_| true), [TOGETHER_MAX + 1]);
        assert_eq!(take(&mut waiting, |_| true), [0_usize; 0]);
    }
}
