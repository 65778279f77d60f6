//! Whom the PRINCIPALS know, and whose messages they want no more.

use hereabouts_protocol::{
    durable::StoredContact,
    message::delivery_rules::{DeliveryAction, DeliveryRule, Whose},
};

use super::{World, access::hostile};
use crate::virtual_machine::executor;

impl World {
    /// Every node gives every other a petname, if the scenario has them know each other. Some may
    /// know adversaries too. Whom a guarded one knows is drawn with its rules.
    pub(super) fn begin_contacts(&self) {
        let are_contacts = self.scenario.workload.contacts;
        let hostile = hostile(&self.scenario, self.options.seed, |some| some.contact);
        for node in self.nodes.iter().filter(|node| node.guarded.is_none()) {
            let Some(handle) = node.handle() else { continue };
            let others = self.nodes.iter().filter(|other| are_contacts && other.number != node.number);
            let others = others.map(|other| (format!("node {}", other.number), other.presentity));
            let hostile = hostile.iter().enumerate();
            let hostile = hostile.map(|(number, presentity)| (format!("adversary {number}"), *presentity));
            let contacts: Vec<_> = others.chain(hostile).collect();
            executor::spawn(
                node.host,
                Box::pin(async move {
                    for (petname, presentity) in contacts {
                        // The node may be ending.
                        let _ = handle.put_contact(StoredContact { petname, presentity }).await;
                    }
                }),
            );
        }
    }

    /// Every node denies the messages of the adversaries of a section.
    pub(crate) fn deny(&self, section: usize) {
        let Some(denied) = self.scenario.adversaries.get(section) else { return };
        let hostile = hostile(&self.scenario, self.options.seed, |some| some == denied);
        for node in &self.nodes {
            let Some(handle) = node.handle() else { continue };
            let (number, oracles, hostile) = (node.number, self.oracles.clone(), hostile.clone());
            executor::spawn(
                node.host,
                Box::pin(async move {
                    for sender in hostile {
                        let rule = DeliveryRule { action: DeliveryAction::Deny, ..DeliveryRule::default() };
                        if handle.put_delivery_rule(Whose::Sender(sender), rule).await.is_ok() {
                            oracles.handle_denied(number, sender);
                        }
                    }
                }),
            );
        }
    }
}
