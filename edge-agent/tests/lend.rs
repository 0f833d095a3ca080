//! Quotas that are leased: what the controller is asked over HTTP, and what comes of its answers.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use edge_agent::{
    sessions::event::Event,
    settings,
    uplink::{follow, lend::Lend},
};
use shared::{
    daemon::Life,
    id::{EdgeId, EpochId, SubscriberId},
    secret::Secret,
    wire::latest::lease::{Answer, Answers, Question, Questions},
};
use tokio::sync::Notify;
use uuid::Uuid;

/// Everything here is over in this time, or it hangs.
const SOON: Duration = Duration::from_secs(20);

/// The controller's side, by hand: fails at first, then gives what is asked for.
fn office(listener: &TcpListener, told: &SyncSender<(String, Questions)>) {
    for (n, stream) in listener.incoming().enumerate() {
        let stream = stream.unwrap();
        let mut reader = BufReader::new(&stream);
        let (mut head, mut line) = (String::new(), String::new());
        while reader.read_line(&mut line).unwrap() > 2 {
            head.push_str(&line.to_lowercase());
            line.clear();
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let asked: Questions = serde_json::from_slice(&body).unwrap();
        let answers = asked.questions.iter().map(|question| Answer {
            subscriber: question.subscriber,
            counted_from_ms: question.counted_from_ms,
            fence: question.fence,
            bytes: question.used_bytes + question.more_bytes,
            free_bytes: 1,
            elsewhere_bytes: 2,
        });
        let answers = Answers { answers: answers.collect() };
        let (status, body) = match n {
            0 => ("503 Service Unavailable", Vec::new()),
            _ => ("200 OK", serde_json::to_vec(&answers).unwrap()),
        };
        let length = body.len();
        write!(
            &stream,
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n"
        )
        .unwrap();
        (&stream).write_all(&body).unwrap();
        if told.send((head, asked)).is_err() {
            return;
        }
    }
}

/// The session thread's next event.
fn next(events: &Receiver<Event>) -> Event {
    events.recv_timeout(SOON).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_needed_is_asked_for_until_it_is_answered() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let api = format!("http://{}/", listener.local_addr().unwrap());
    let (told, requests) = sync_channel(8);
    std::thread::spawn(move || office(&listener, &told));
    let (edge, epoch) = (EdgeId::from_uuid(Uuid::now_v7()), EpochId::from_uuid(Uuid::now_v7()));
    let settings = settings::Uplink {
        url: "mqtt://127.0.0.1:1".to_owned(),
        api,
        edge,
        secret_file: PathBuf::new(),
        ca: None,
        secret: Some(Secret::new("s".to_owned())),
    };
    let (events, inbox) = sync_channel(8);
    let (life, hungry) = (Life::default(), Arc::new(Notify::new()));
    let lend = Lend {
        client: follow::client(&settings).unwrap(),
        settings,
        epoch,
        events,
        hungry: Arc::clone(&hungry),
    };
    life.spawn("lend", lend.run());
    hungry.notify_one();

    let question = Question {
        subscriber: SubscriberId::from_uuid(Uuid::now_v7()),
        counted_from_ms: 5,
        fence: 7,
        used_bytes: 100,
        more_bytes: 1_000,
    };
    let done = tokio::task::spawn_blocking(move || {
        // The first is refused: nothing is told, and it is asked again.
        for _ in 0..2 {
            let Event::Questions(answer) = next(&inbox) else { panic!("a question") };
            answer.send(vec![question]).unwrap();
            let (head, asked) = requests.recv_timeout(SOON).unwrap();
            assert!(head.starts_with("post /edge/v1/lease http/1.1"), "{head}");
            assert!(head.contains("authorization: basic "), "{head}");
            assert_eq!(asked, Questions { epoch, questions: vec![question] });
        }
        let Event::Leased(answers) = next(&inbox) else { panic!("an answer") };
        let [answer] = answers[..] else { panic!("one answer") };
        assert_eq!((answer.fence, answer.bytes), (7, 1_100));
        // Nothing to ask: nobody is bothered.
        let Event::Questions(answer) = next(&inbox) else { panic!("a question") };
        answer.send(Vec::new()).unwrap();
        assert!(requests.recv_timeout(Duration::from_millis(500)).is_err());
    });
    tokio::time::timeout(SOON * 2, done).await.unwrap().unwrap();
    life.stop(SOON).await.unwrap();
}
