//! `here delivery`: whose messages the inbox takes.

use anyhow::Result;
use hereabouts_protocol::message::instant_message::BODY_BYTES_MAX;

use crate::{
    agents::cli::{
        Context,
        arguments::{AcceptArguments, DeliveryAction, DeliveryArguments},
        exit::Exit,
        output::NAME,
        sanitise,
        table::{Table, plain, styled},
    },
    local_api::documents::{DeliveryActionWord, DeliveryRuleDocument, DeliveryRulesDocument},
};

pub(in crate::agents::cli) async fn run(context: &Context, arguments: &DeliveryArguments) -> Result<Exit> {
    let client = context.client()?;
    let rules = match &arguments.action {
        None | Some(DeliveryAction::List) => client.delivery_rules().await?,
        Some(DeliveryAction::Accept(accept)) => {
            client.put_delivery_rule(&accept.whose, &accepting(accept)).await?
        }
        Some(DeliveryAction::Deny { whose, silently }) => {
            let action = if *silently { DeliveryActionWord::Ignore } else { DeliveryActionWord::Deny };
            let rule = DeliveryRuleDocument { action, ..DeliveryRuleDocument::default() };
            client.put_delivery_rule(whose, &rule).await?
        }
        Some(DeliveryAction::Forget { whose }) => client.remove_delivery_rule(whose).await?,
    };
    show(context, &rules)
}

fn accepting(arguments: &AcceptArguments) -> DeliveryRuleDocument {
    DeliveryRuleDocument {
        action: DeliveryActionWord::Accept,
        per_minute: arguments.per_minute,
        together_per_minute: arguments.together,
        body_bytes_max: arguments.max_bytes.unwrap_or(BODY_BYTES_MAX),
        content_types: arguments.content_type.clone(),
    }
}

fn show(context: &Context, rules: &DeliveryRulesDocument) -> Result<Exit> {
    if context.output.json {
        context.output.document(rules)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["WHOSE", "MESSAGES", "ID"]);
    for (class, rule) in [("contacts", &rules.contacts), ("strangers", &rules.strangers)] {
        table.row([plain(class.to_owned()), plain(words(rule)), plain(String::new())]);
    }
    for sender in &rules.senders {
        table.row([
            styled(NAME, sanitise::line(sender.sender.shown_name())),
            plain(words(&sender.rule)),
            plain(sanitise::line(&sender.sender.short_id)),
        ]);
    }
    table.print(&context.output)?;
    Ok(Exit::Done)
}

/// A rule as people read it.
fn words(rule: &DeliveryRuleDocument) -> String {
    match rule.action {
        DeliveryActionWord::Deny => return "denied".to_owned(),
        DeliveryActionWord::Ignore => return "dropped without an answer".to_owned(),
        DeliveryActionWord::Accept => (),
    }
    let each = rule.per_minute.map(|rate| format!("at most {rate} a minute each"));
    let together = rule.together_per_minute.map(|rate| format!("at most {rate} a minute together"));
    let bytes =
        (rule.body_bytes_max < BODY_BYTES_MAX).then(|| format!("up to {} bytes", rule.body_bytes_max));
    let types = (!rule.content_types.is_empty()).then(|| sanitise::line(&rule.content_types.join(" or ")));
    let limits: Vec<String> = [each, together, bytes, types].into_iter().flatten().collect();
    if limits.is_empty() { "accepted".to_owned() } else { format!("accepted: {}", limits.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_as_what_it_demands() {
        let rule = DeliveryRuleDocument::default;
        assert_eq!(words(&rule()), "accepted");
        assert_eq!(words(&DeliveryRuleDocument { action: DeliveryActionWord::Deny, ..rule() }), "denied");
        let limited = DeliveryRuleDocument {
            per_minute: Some(60),
            together_per_minute: Some(600),
            body_bytes_max: 1000,
            content_types: vec!["text/".to_owned(), "image/png".to_owned()],
            ..rule()
        };
        assert_eq!(
            words(&limited),
            "accepted: at most 60 a minute each, at most 600 a minute together, up to 1000 bytes, text/ or \
             image/png"
        );
    }
}
