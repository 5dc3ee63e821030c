//! Whose turn it is: pods in order of priority, then of arrival. Pods that fit nowhere wait aside until something
//! changes that could help them, and then keep their place in line.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::pod::PodInfo;

type Place = (Reverse<i64>, u64);

#[derive(Default)]
pub struct Queue {
    line: BTreeMap<Place, Arc<PodInfo>>,
    aside: BTreeMap<Place, Arc<PodInfo>>,
    places: HashMap<String, Place>,
    arrivals: u64,
}

impl Queue {
    /// In line, at the place it had if it was here before.
    pub fn add(&mut self, pod: Arc<PodInfo>) {
        let arrival = self.places.get(pod.uid()).map(|(_, arrival)| *arrival).unwrap_or_else(|| {
            self.arrivals += 1;
            self.arrivals
        });
        self.unlist(pod.uid());
        let place = (Reverse(pod.priority), arrival);
        self.places.insert(pod.uid().to_owned(), place);
        self.line.insert(place, pod);
    }

    /// Takes the next pod. It keeps its place for [`Queue::set_aside`] or [`Queue::add`].
    pub fn pop(&mut self) -> Option<Arc<PodInfo>> {
        self.line.pop_first().map(|(_, pod)| pod)
    }

    /// Waits for [`Queue::recall`].
    pub fn set_aside(&mut self, pod: Arc<PodInfo>) {
        if let Some(place) = self.places.get(pod.uid()) {
            self.aside.insert(*place, pod);
        }
    }

    /// Everybody who waits aside is in line again.
    pub fn recall(&mut self) {
        self.line.append(&mut self.aside);
    }

    pub fn remove(&mut self, uid: &str) {
        self.unlist(uid);
        self.places.remove(uid);
    }

    /// Replaces a pod that is listed by its newer self, where it is. False when it is not listed.
    pub fn refresh(&mut self, pod: &Arc<PodInfo>) -> bool {
        let Some(place) = self.places.get(pod.uid()) else { return false };
        let listed = self.line.get_mut(place).or_else(|| self.aside.get_mut(place));
        listed.map(|listed| *listed = pod.clone()).is_some()
    }

    fn unlist(&mut self, uid: &str) {
        if let Some(place) = self.places.get(uid) {
            self.line.remove(place);
            self.aside.remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_apimachinery::Object;
    use serde_json::json;

    fn pod(uid: &str, priority: i64) -> Arc<PodInfo> {
        Arc::new(PodInfo::new(Object::new(json!({"metadata": {"uid": uid}, "spec": {"priority": priority}}))))
    }

    fn order(queue: &mut Queue) -> Vec<String> {
        std::iter::from_fn(|| queue.pop()).map(|p| p.uid().to_owned()).collect()
    }

    #[test]
    fn priority_comes_before_arrival() {
        let mut queue = Queue::default();
        for (uid, priority) in [("a", 0), ("b", 0), ("high", 10), ("c", 0)] {
            queue.add(pod(uid, priority));
        }
        assert_eq!(order(&mut queue), ["high", "a", "b", "c"]);
    }

    #[test]
    fn who_waited_aside_keeps_its_place() {
        let mut queue = Queue::default();
        queue.add(pod("a", 0));
        let a = queue.pop().unwrap();
        queue.set_aside(a);
        queue.add(pod("b", 0));
        assert_eq!(order(&mut queue), ["b"]);
        queue.add(pod("b", 0));
        queue.recall();
        assert_eq!(order(&mut queue), ["a", "b"]);
    }

    #[test]
    fn a_pod_that_is_gone_is_not_offered() {
        let mut queue = Queue::default();
        queue.add(pod("a", 0));
        queue.remove("a");
        assert_eq!(order(&mut queue), [""; 0]);
    }
}
