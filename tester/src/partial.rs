//! Partial partitions: servers that reach some of the others, or are reached by some, but not by all. After
//! the lists of such faults in `OmniPaxos` (Ng, Haridi and Carbone, 2023) and of openraft.

use crate::group::Group;

/// Links that do not work, each in one direction.
#[derive(Debug, Clone)]
pub struct Partial {
    /// What people call it.
    pub name: String,
    /// No message goes from the first to the second server of each pair.
    cuts: Vec<(usize, usize)>,
}

impl Partial {
    /// Only the links between these pairs of `servers` servers work, in both directions.
    fn only(name: impl Into<String>, servers: usize, links: &[(usize, usize)]) -> Partial {
        let works = |pair: &(usize, usize)| links.contains(pair) || links.contains(&(pair.1, pair.0));
        let cuts = pairs(servers).filter(|pair| !works(pair)).collect();
        Partial { name: name.into(), cuts }
    }

    /// Each server reaches its two neighbours in this order, and the last one does not reach the first.
    pub fn chain(order: &[usize]) -> Partial {
        Partial::only(format!("a chain {order:?}"), order.len(), &neighbours(order))
    }

    /// Each server reaches its two neighbours in this order.
    pub fn ring(order: &[usize]) -> Partial {
        let mut links = neighbours(order);
        links.push((order[order.len() - 1], order[0]));
        Partial::only(format!("a ring {order:?}"), order.len(), &links)
    }

    /// All servers reach `hub`, and nobody else.
    pub fn star(servers: usize, hub: usize) -> Partial {
        let links: Vec<_> = (0..servers).map(|server| (hub, server)).collect();
        Partial::only(format!("all servers reach server {hub} only"), servers, &links)
    }

    /// Two sides that do not reach each other, of half of the servers without `bridge` each. All reach
    /// `bridge`.
    pub fn bridge(order: &[usize], bridge: usize) -> Partial {
        let others: Vec<usize> = order.iter().copied().filter(|&server| server != bridge).collect();
        let (one, other) = others.split_at(others.len() / 2);
        let across = |&(from, to): &(usize, usize)| {
            (one.contains(&from) && other.contains(&to)) || (other.contains(&from) && one.contains(&to))
        };
        let cuts = pairs(order.len()).filter(across).collect();
        Partial { name: format!("server {bridge} is a bridge between {one:?} and {other:?}"), cuts }
    }

    /// `server` and `friend` reach each other; `server` reaches no other.
    pub fn one_friend(servers: usize, server: usize, friend: usize) -> Partial {
        let is_cut = |&(from, to): &(usize, usize)| {
            (from == server && to != friend) || (to == server && from != friend)
        };
        let cuts = pairs(servers).filter(is_cut).collect();
        Partial { name: format!("server {server} and server {friend} reach each other only"), cuts }
    }

    /// No message reaches `server`.
    pub fn deaf(servers: usize, server: usize) -> Partial {
        let cuts = pairs(servers).filter(|&(_, to)| to == server).collect();
        Partial { name: format!("server {server} is deaf"), cuts }
    }

    /// No message of `server` arrives.
    pub fn mute(servers: usize, server: usize) -> Partial {
        let cuts = pairs(servers).filter(|&(from, _)| from == server).collect();
        Partial { name: format!("server {server} is mute"), cuts }
    }

    /// Each cut of one link in one direction.
    pub fn one_way(servers: usize) -> impl Iterator<Item = Partial> {
        pairs(servers).map(|(from, to)| Partial {
            name: format!("no message from {from} to {to}"),
            cuts: vec![(from, to)],
        })
    }

    /// The faults with links that work in both directions or in none, for five servers: in each of them one
    /// server at least reaches a majority. `order` begins with the leader.
    pub fn of_five(order: &[usize; 5]) -> Vec<Partial> {
        let [leader, next, third, ..] = *order;
        vec![
            Partial::one_friend(5, leader, next),
            Partial::bridge(order, leader),
            Partial::bridge(order, third),
            Partial::star(5, next),
            Partial::chain(order),
            Partial::chain(&[order[1], order[2], leader, order[3], order[4]]),
            Partial::ring(order),
        ]
    }

    /// Begins the fault. Messages under way still arrive.
    pub fn begin<S: Send + Sync + 'static>(&self, group: &Group<S>) {
        group.test().note(self.name.clone());
        group.test().faults().begin("partition", self.name.as_str(), "");
        self.set(group, true);
    }

    /// Ends the fault.
    pub fn end<S: Send + Sync + 'static>(&self, group: &Group<S>) {
        group.test().note("all links work");
        group.test().faults().end("partition", "");
        self.set(group, false);
    }

    /// A message is a request on one link, or a reply on the link of the other direction.
    fn set<S: Send + Sync + 'static>(&self, group: &Group<S>, cut: bool) {
        let network = group.net().network();
        for &(from, to) in &self.cuts {
            network.cut_requests(group.link(from, to), cut);
            network.cut_replies(group.link(to, from), cut);
        }
    }
}

/// All ordered pairs of two different servers.
fn pairs(servers: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..servers).flat_map(move |from| (0..servers).map(move |to| (from, to))).filter(|(from, to)| from != to)
}

fn neighbours(order: &[usize]) -> Vec<(usize, usize)> {
    order.windows(2).map(|pair| (pair[0], pair[1])).collect()
}
