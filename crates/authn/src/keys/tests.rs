use super::*;
use crate::algorithm::Algorithm;
use crate::testing::Issuer;
use serde_json::json;

const SECOND: u64 = 1000;

fn document() -> Vec<u8> {
    json!({"keys": [Issuer::new(Algorithm::EdDSA, "k").jwk]}).to_string().into_bytes()
}

/// A source that fetched its keys at `now`.
fn fetched(now: u64) -> KeySource {
    let mut source = KeySource::remote(KeySettings::default());
    source.started();
    source.finished(Ok((&document(), None)), now, 0).unwrap();
    source
}

#[test]
fn the_first_fetch_is_due_at_once_and_only_once() {
    let mut source = KeySource::remote(KeySettings::default());
    assert!(source.is_due(0) && source.keys(0).is_none());
    source.started();
    assert!(!source.is_due(0));
    assert_eq!(source.ask(None, 0), Ask::Wait);
    source.finished(Ok((&document(), None)), 10, 0).unwrap();
    assert!(source.keys(10).is_some() && !source.is_due(10));
}

/// What happens in a day of an issuer, second by second: which keys count after it, and when the next fetch is due.
#[test]
fn a_day_of_an_issuer() {
    enum Event<'d> {
        Brings(&'d str),
        Fails(FetchError),
        AskedFor(&'d str, Ask),
        Nothing,
    }
    use Event::{AskedFor, Brings, Fails, Nothing};
    const DAY: u64 = 24 * 60 * 60;
    let set = |names: &[&str]| {
        json!({"keys": names.iter().map(|name| Issuer::new(Algorithm::EdDSA, name).jwk).collect::<Vec<_>>()})
            .to_string()
    };
    let (old, both, new) = (set(&["old"]), set(&["old", "new"]), set(&["new"]));
    let mut source = KeySource::remote(KeySettings::default());
    let nobody: &[&str] = &[];
    for (second, event, usable, due) in [
        (0, Fails(FetchError::NoAnswer), nobody, 5),
        (5, Fails(FetchError::Status(500)), nobody, 10),
        (10, Brings("<html>"), nobody, 15),
        (15, Brings(&old), &["old"], 555),
        (100, AskedFor("new", Ask::Wait), &["old"], 100),
        (100, Brings(&old), &["old"], 640),
        (104, AskedFor("other", Ask::Refuse), &["old"], 640),
        (106, AskedFor("new", Ask::Refuse), &["old"], 640),
        (106, AskedFor("other", Ask::Wait), &["old"], 106),
        (106, Fails(FetchError::TooLarge), &["old"], 111),
        (111, Brings(&both), &["old", "new"], 651),
        (651, Fails(FetchError::NoAnswer), &["old", "new"], 656),
        (656, Brings("{}"), &["old", "new"], 661),
        (661, Brings(&new), &["new"], 1201),
        (1201, Fails(FetchError::Status(503)), &["new"], 1206),
        (661 + DAY, Nothing, &["new"], 1206),
        (662 + DAY, Nothing, nobody, 1206),
        (662 + DAY, AskedFor("new", Ask::Wait), nobody, 662 + DAY),
        (662 + DAY, Brings(&new), &["new"], 1202 + DAY),
    ] {
        let now = second * SECOND;
        let finish = |source: &mut KeySource, answer| {
            assert!(source.is_due(now), "at {second}");
            source.started();
            source.finished(answer, now, 0).is_ok()
        };
        match event {
            Brings(document) => drop(finish(&mut source, Ok((document.as_bytes(), None)))),
            Fails(error) => assert!(!finish(&mut source, Err(error))),
            AskedFor(key_id, answer) => assert_eq!(source.ask(Some(key_id), now), answer, "at {second}"),
            Nothing => {}
        }
        let names = |name: &&str| source.keys(now).is_some_and(|keys| keys.names(name));
        assert_eq!(["old", "new"].into_iter().filter(names).collect::<Vec<_>>(), usable, "at {second}");
        assert_eq!(source.due_at(), due * SECOND, "at {second}");
    }
}

#[test]
fn keys_are_renewed_ahead_of_expiry_at_different_times() {
    let due = |random| {
        (0..3600).find(|second| {
            let mut source = KeySource::remote(KeySettings::default());
            source.finished(Ok((&document(), None)), 0, random).unwrap();
            source.is_due(second * SECOND)
        })
    };
    assert_eq!(due(0), Some(540));
    assert_eq!(due(59_999), Some(481));
}

#[test]
fn the_answer_may_shorten_the_cache_time_but_not_to_nothing() {
    let mut source = KeySource::remote(KeySettings::default());
    source.finished(Ok((&document(), Some(Duration::from_secs(100)))), 0, 0).unwrap();
    assert!(!source.is_due(89 * SECOND) && source.is_due(90 * SECOND));
    source.finished(Ok((&document(), Some(Duration::ZERO))), 0, 0).unwrap();
    assert!(!source.is_due(SECOND - 101) && source.is_due(SECOND));
    source.finished(Ok((&document(), Some(Duration::from_secs(1_000_000)))), 0, 0).unwrap();
    assert!(source.is_due(600 * SECOND));
}

#[test]
fn a_failed_renewal_keeps_the_keys_up_to_the_stale_limit() {
    let mut source = fetched(0);
    for failure in [Err(FetchError::NoAnswer), Err(FetchError::Status(500)), Ok((&b"garbage"[..], None))] {
        source.started();
        assert!(source.finished(failure, 1000 * SECOND, 0).is_err());
        assert!(source.keys(1000 * SECOND).is_some());
    }
    let limit = 24 * 60 * 60 * SECOND;
    assert!(source.keys(limit).is_some());
    assert!(source.keys(limit + 1).is_none());
}

#[test]
fn a_failed_fetch_is_tried_again_after_the_cooldown() {
    let mut source = KeySource::remote(KeySettings::default());
    source.started();
    assert_eq!(source.finished(Err(FetchError::NoAnswer), 0, 0), Err(FetchError::NoAnswer));
    assert!(!source.is_due(5 * SECOND - 1) && source.is_due(5 * SECOND));
}

#[test]
fn a_flood_of_unknown_keys_causes_one_fetch_a_cooldown() {
    let mut source = fetched(0);
    let mut fetches = 0;
    for now in 0..60 * SECOND {
        source.ask(Some(&format!("k{now}")), now);
        if source.is_due(now) {
            fetches += 1;
            source.started();
            let answer = if fetches % 2 == 0 { Err(FetchError::NoAnswer) } else { Ok((&b"{}"[..], None)) };
            assert!(source.finished(answer, now, 0).is_err());
        }
    }
    assert_eq!(fetches, 11);
}

#[test]
fn requests_wait_for_a_fetch_and_are_refused_in_the_cooldown() {
    let mut source = fetched(0);
    assert_eq!(source.ask(None, SECOND), Ask::Refuse);
    assert_eq!(source.ask(None, 5 * SECOND), Ask::Wait);
    assert!(source.is_due(5 * SECOND));
    source.started();
    assert_eq!(source.ask(None, 6 * SECOND), Ask::Wait);
}

#[test]
fn a_key_that_the_issuer_does_not_have_is_not_asked_for_again_soon() {
    let mut source = fetched(0);
    assert_eq!(source.ask(Some("invented"), 5 * SECOND), Ask::Wait);
    source.started();
    source.finished(Ok((&document(), None)), 5 * SECOND, 0).unwrap();
    assert_eq!(source.ask(Some("invented"), 20 * SECOND), Ask::Refuse);
    assert_eq!(source.ask(Some("another"), 20 * SECOND), Ask::Wait);
    assert_eq!(source.ask(Some("invented"), 66 * SECOND), Ask::Wait);
}

#[test]
fn the_memory_of_missing_keys_is_bounded() {
    let mut source = fetched(0);
    for round in 1..4 {
        let now = round * 6 * SECOND;
        for key in 0..2 * MOST_MISSING {
            source.ask(Some(&format!("{round}-{key}")), now);
        }
        source.started();
        source.finished(Ok((&document(), None)), now, 0).unwrap();
    }
    assert!(source.missing.len() <= MOST_MISSING && source.asked.len() <= MOST_MISSING);
}

#[test]
fn the_epoch_grows_when_the_keys_change_and_only_then() {
    let mut source = KeySource::remote(KeySettings::default());
    let (one, two) = (document(), document());
    for (answer, epoch) in [(&one, 1), (&one, 1), (&two, 2), (&one, 3)] {
        source.finished(Ok((answer, None)), 0, 0).unwrap();
        assert_eq!(source.epoch(), epoch);
    }
    assert!(source.finished(Ok((b"garbage", None)), 0, 0).is_err());
    assert_eq!(source.epoch(), 3);
}

#[test]
fn quick_tries_come_before_the_long_pause() {
    let second = Duration::from_secs(1);
    let retry = RetryPauses { count: 3, first: second, longest: 3 * second };
    let mut source = KeySource::remote(KeySettings { retry, ..KeySettings::default() });
    let mut pause = |random| {
        assert!(source.finished(Err(FetchError::NoAnswer), 0, random).is_err());
        (0..=5000).find(|now| source.is_due(*now))
    };
    assert_eq!([pause(1000), pause(2000), pause(3000), pause(7)], [Some(1000), Some(2000), Some(3000), Some(5000)]);
}

#[test]
fn fixed_keys_are_never_fetched() {
    let mut source = KeySource::fixed(Issuer::new(Algorithm::EdDSA, "k").key_set());
    assert!(!source.is_due(u64::MAX - 1) && source.keys(u64::MAX).is_some());
    assert_eq!(source.ask(None, 1), Ask::Refuse);
}

#[test]
fn cache_control_is_read() {
    assert_eq!(max_age("public, Max-Age=300, must-revalidate"), Some(Duration::from_mins(5)));
    assert_eq!(max_age("max-age=\"60\""), Some(Duration::from_mins(1)));
    assert_eq!(max_age("no-store, max-age=300"), Some(Duration::ZERO));
    for none in ["", "public", "max-age=abc", "max-age=-1", "s-maxage=5"] {
        assert_eq!(max_age(none), None, "{none}");
    }
}
