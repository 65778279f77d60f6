use super::*;
use crate::{
    presence::information::Basic,
    testing::{alice, bob, keypair, presentity},
};

fn word(text: &str) -> Token {
    text.parse().unwrap()
}

fn of_tuple(id: Option<&str>) -> PresenceChange {
    PresenceChange { tuple: id.map(word), basic: Some(Basic::Closed), ..PresenceChange::default() }
}

#[test]
fn nobody_may_update_a_document_unless_it_was_said() {
    let mut delegates = Delegates::default();
    let (alice, bob) = (presentity(&alice()), presentity(&bob()));
    assert!(!delegates.allow(&alice, &of_tuple(None)));
    delegates.put(alice, BTreeSet::new()).unwrap();
    assert!(delegates.allow(&alice, &of_tuple(None)) && !delegates.allow(&bob, &of_tuple(None)));
    assert!(delegates.remove(&alice) && !delegates.remove(&alice));
    assert!(!delegates.allow(&alice, &of_tuple(None)));
}

#[test]
fn a_delegate_for_tuples_changes_these_and_nothing_else() {
    let mut delegates = Delegates::default();
    let phone = presentity(&alice());
    delegates.put(phone, BTreeSet::from([word("phone"), word("inbox")])).unwrap();
    let allowed = |change: &PresenceChange| delegates.allow(&phone, change);
    assert!(allowed(&of_tuple(Some("phone"))));
    assert!(allowed(&PresenceChange { remove_tuple: Some(word("phone")), ..PresenceChange::default() }));
    let away = PresenceChange { further: Some([word("away")].into()), ..PresenceChange::default() };
    assert!(allowed(&away), "the inbox is named");
    assert!(!allowed(&of_tuple(Some("desk"))));
    assert!(!allowed(&of_tuple(None)), "a status of the inbox takes away note and activities");
    let named = PresenceChange { display_name: Some("Mallory".to_owned()), ..of_tuple(Some("phone")) };
    assert!(!allowed(&named));
    let both = PresenceChange { remove_tuple: Some(word("desk")), ..of_tuple(Some("phone")) };
    assert!(!allowed(&both));
    let until =
        PresenceChange { until: Some(crate::time::UnixTime::from_millis(9)), ..of_tuple(Some("phone")) };
    assert!(!allowed(&until));
}

#[test]
fn there_is_a_limit_and_whoever_is_there_can_still_be_changed() {
    let mut delegates = Delegates::default();
    let who = |number: usize| presentity(&keypair(u8::try_from(number).unwrap()));
    for number in 0..DELEGATES_MAX {
        delegates.put(who(number), BTreeSet::new()).unwrap();
    }
    assert_eq!(delegates.put(who(DELEGATES_MAX), BTreeSet::new()), Err(DelegateError::TooMany));
    assert_eq!(delegates.put(who(0), BTreeSet::from([word("phone")])), Ok(()));
    let many = (0..=TUPLES_MAX).map(|number| word(&format!("t{number}"))).collect();
    assert_eq!(delegates.put(who(0), many), Err(DelegateError::TooManyTuples));
    assert_eq!(delegates.iter().count(), DELEGATES_MAX);
}
