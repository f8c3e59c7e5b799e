//! What is written is read as it was meant: names, queries, and the replies to them.

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert_eq, proptest};

use meridian::dns::{Name, QueryScratch, query};

use crate::harness::query::Question;

/// Labels that fit into one name.
fn wire(labels: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in labels {
        if wire.len() + label.len() + 2 > 255 {
            break;
        }
        wire.push(label.len() as u8);
        wire.extend(label);
    }
    wire.push(0);
    wire
}

proptest! {
    #[test]
    fn a_name_is_itself_after_writing_and_reading(labels in vec(vec(any::<u8>(), 1..=63), 0..20)) {
        let wire = wire(&labels);
        let name = Name::from_wire(&wire).expect("a good name");
        prop_assert_eq!(name.as_wire(), &wire[..]);
        let again: Name = name.to_string().parse().expect("its own text");
        prop_assert_eq!(again.as_wire(), &wire[..]);
    }

    #[test]
    fn a_query_is_read_as_it_was_meant(
        labels in vec(vec(any::<u8>(), 1..=63), 0..8),
        id in any::<u16>(),
        rtype in any::<u16>(),
        class in any::<u16>(),
        payload in any::<u16>(),
        address in any::<[u8; 4]>(),
        whole_octets in 0..=4usize,
    ) {
        let name = wire(&labels);
        let mut question = Question { id, flags: 0, name, rtype, class, opt: None };
        question.opt().payload = payload;
        let subnet = [&[0, 1, 8 * whole_octets as u8, 0], &address[..whole_octets]].concat();
        let octets = question.clone().option(8, &subnet).octets();
        let mut room = QueryScratch::default();
        let read = query::parse(&octets, &mut room).expect("a good query");
        prop_assert_eq!(read.question.octets, &question.question_octets()[..]);
        prop_assert_eq!(read.question.name.as_wire(), &question.name.to_ascii_lowercase()[..]);
        prop_assert_eq!((read.question.rtype.0, read.question.class), (rtype, class));
        let edns = read.edns.expect("it has OPT");
        let subnet = edns.client_subnet.expect("it has a client subnet");
        prop_assert_eq!((edns.payload, usize::from(subnet.source)), (payload, 8 * whole_octets));
        let mut value = vec![0; subnet.size()];
        prop_assert_eq!(subnet.write(0, &mut value), Some(()));
        prop_assert_eq!(&value[4..], &address[..whole_octets]);
    }
}
