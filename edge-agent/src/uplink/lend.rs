//! Asks the controller for parts of quotas that other edges use, too, and gives back what nobody here
//! needs. Without a controller the sessions live on what they have.

use std::{
    sync::{Arc, mpsc::SyncSender},
    time::Duration,
};

use reqwest::StatusCode;
use shared::{
    daemon::Chain,
    id::EpochId,
    secret::Secret,
    wire::latest::lease::{Answer, Answers, QUESTIONS_MAX, Question, Questions},
};
use tokio::sync::{Notify, oneshot};

use super::follow::Follow;
use crate::{sessions::event::Event, settings};

pub struct Lend {
    pub settings: settings::Uplink,
    pub client: reqwest::Client,
    /// Of the journal.
    pub epoch: EpochId,
    pub events: SyncSender<Event>,
    /// Rung when there is something to ask.
    pub hungry: Arc<Notify>,
}

#[derive(Debug, thiserror::Error)]
enum LendError {
    #[error("cannot ask {url}")]
    Ask { url: String, source: reqwest::Error },
    #[error("{url} answered {status}")]
    Refused { url: String, status: StatusCode },
}

impl Lend {
    pub fn beside(follow: &Follow, epoch: EpochId, hungry: Arc<Notify>) -> Self {
        let (settings, client) = (follow.settings.clone(), follow.client.clone());
        Self { settings, client, epoch, events: follow.events.clone(), hungry }
    }

    /// Asks when told, and looks each second in case nobody told, until it is dropped.
    pub async fn run(self) {
        let mut fails = false;
        loop {
            let _ = tokio::time::timeout(EVERY, self.hungry.notified()).await;
            let questions = self.questions().await;
            for some in questions.chunks(QUESTIONS_MAX) {
                match self.ask(some.to_vec()).await {
                    Ok(answers) => {
                        // Who does not hear it asks again.
                        let _ = self.events.try_send(Event::Leased(answers));
                        fails = false;
                    }
                    Err(error) => {
                        if !fails {
                            tracing::warn!(
                                error = %Chain(&error),
                                "no quota is leased; sessions live on what they have"
                            );
                        }
                        fails = true;
                    }
                }
            }
        }
    }

    async fn questions(&self) -> Vec<Question> {
        let (answer, questions) = oneshot::channel();
        if self.events.try_send(Event::Questions(answer)).is_err() {
            return Vec::new();
        }
        questions.await.unwrap_or_default()
    }

    async fn ask(&self, questions: Vec<Question>) -> Result<Vec<Answer>, LendError> {
        let url = format!("{}/edge/v1/lease", self.settings.api.trim_end_matches('/'));
        let failed = |source: reqwest::Error| LendError::Ask {
            url: url.clone(),
            source: source.without_url(),
        };
        let secret = self.settings.secret.as_ref().map(Secret::expose);
        let asked = Questions { epoch: self.epoch, questions };
        let request = self.client.post(&url).json(&asked).basic_auth(self.settings.edge, secret);
        let answer = request.send().await.map_err(failed)?;
        match answer.status() {
            StatusCode::OK => {
                answer.json().await.map(|answers: Answers| answers.answers).map_err(failed)
            }
            status => Err(LendError::Refused { url, status }),
        }
    }
}

const EVERY: Duration = Duration::from_secs(1);
