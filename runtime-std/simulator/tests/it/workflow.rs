//! Workflows of the simulated instrument, seen through raw sockets.

use std::io::Read;
use std::net::TcpStream;

use flamingo_protocol_core::{
    CommandCode as Code, Frame,
    image::{HEADER_LEN, ImageHeader},
};
use flamingo_runtime_testkit::raw_client::{
    PATIENCE, RawClient, codes, command, query, simulator, two_clients, workflow,
};

const FAST: &str = "[stage]\nspeed_factor = 50\n[images]\nwidth = 64\nheight = 64\n";

fn start() -> Frame {
    command(Code::CAMERA_WORK_FLOW_START)
}

#[test]
fn a_workflow_runs_from_upload_to_idle_and_sends_its_stacks() {
    let simulator = simulator(FAST);
    let [mut client, mut other] = two_clients(&simulator);
    let mut stack = TcpStream::connect(simulator.stack()).unwrap();
    stack.set_read_timeout(Some(PATIENCE)).unwrap();
    client.upload(&start(), workflow(12, "Tile", 20.0).as_bytes());
    let (got, _) = client.until_code(Code::SYSTEM_STATE_IDLE);
    let order = codes(&got);
    assert_eq!(order[..2], [Code::SYSTEM_STATE_WORK_FLOW_RUNNING, Code::UI_SET_GAUGE_SIZE]);
    assert_eq!(order.last(), Some(&Code::UI_IMAGES_SAVED_TO_STORAGE));
    assert!(!order.contains(&Code::CAMERA_WORK_FLOW_START), "it is never acknowledged");
    let of = |code| got.iter().filter(move |got| got.frame.code == code).map(|got| &got.frame);
    assert_eq!(of(Code::UI_SET_GAUGE_SIZE).next().unwrap().int32_data[1], 24);
    let values: Vec<_> = of(Code::UI_SET_GAUGE_VALUE).map(|frame| frame.int32_data).collect();
    assert_eq!(values, (1..=24).map(|done| [done, 24, 0]).collect::<Vec<_>>());
    let complete: Vec<_> = of(Code::CAMERA_STACK_COMPLETE).collect();
    assert_eq!(complete.len(), 2);
    assert!(complete.iter().all(|frame| frame.int32_data == [12, 12, 0] && frame.value > 1e4));
    assert_eq!(of(Code::LASER_LEVEL_GET).next().unwrap().text(), Ok("12.50"));
    assert_eq!(of(Code::LED_PREVIEW_DISABLE).count(), 1);
    assert!(of(Code::STAGE_POSITION_GET).any(|frame| frame.selector() == 3), "z is pushed");
    assert!(of(Code::LASER_DISABLE).any(|frame| frame.selector() == 2));
    assert!((client.ask(&query(3)).frame.value - 20.5).abs() < 1e-9);
    let mut bytes = vec![0; HEADER_LEN + 2 * 64 * 64];
    for _ in 0..24 {
        stack.read_exact(&mut bytes).unwrap();
        let header = ImageHeader::decode(&bytes[..HEADER_LEN], 1 << 20).unwrap();
        assert_eq!((header.width, header.height), (64, 64));
    }
    let (seen, _) = other.until_code(Code::SYSTEM_STATE_IDLE);
    assert_eq!(codes(&seen).first(), Some(&Code::CAMERA_WORK_FLOW_START));
}

#[test]
fn an_upload_without_flag_or_length_is_an_empty_workflow() {
    let simulator = simulator(FAST);
    let mut client = RawClient::connect(&simulator);
    client.upload(&Frame::new(Code::CAMERA_WORK_FLOW_START), workflow(3, "None", 20.0).as_bytes());
    let declined = client.next().frame;
    assert_eq!((declined.status, declined.text()), (0, Ok("work flow empty")));
    client.send(&start());
    assert_eq!(client.next().frame.text(), Ok("work flow empty"));
    assert!(client.settle().is_empty());
}

#[test]
fn a_workflow_beyond_the_limits_is_declined_with_a_reason() {
    let simulator = simulator(FAST);
    let mut client = RawClient::connect(&simulator);
    let beyond = workflow(3, "None", 30.0);
    client.upload(&command(Code::CAMERA_CHECK_STACK), beyond.as_bytes());
    let report = client.until_code(Code::CAMERA_CHECK_STACK).1;
    assert_eq!(report.payload, b"Z 30.000 is beyond its hard limit\n");
    client.upload(&start(), beyond.as_bytes());
    assert!(client.next().frame.text().unwrap().contains("hard limit"));
    client.upload(&command(Code::CAMERA_CHECK_STACK_UPDATES), workflow(3, "None", 20.0).as_bytes());
    let report = client.until_code(Code::CAMERA_CHECK_STACK_UPDATES).1;
    assert!(!String::from_utf8(report.payload).unwrap().contains("hard limit"));
}

#[test]
fn a_stale_idle_can_come_before_the_workflow_runs() {
    let simulator = simulator(&format!("{FAST}[workflow]\nstale_idle = true"));
    let mut client = RawClient::connect(&simulator);
    client.upload(&start(), workflow(2, "None", 20.0).as_bytes());
    assert_eq!(client.next().frame.code, Code::SYSTEM_STATE_IDLE);
    assert_eq!(client.next().frame.code, Code::SYSTEM_STATE_WORK_FLOW_RUNNING);
    client.until_code(Code::SYSTEM_STATE_IDLE);
}

#[test]
fn a_running_workflow_refuses_live_view_and_can_be_stopped() {
    let simulator = simulator(FAST);
    let mut client = RawClient::connect(&simulator);
    client.upload(&start(), workflow(4000, "None", 20.0).as_bytes());
    client.until_code(Code::UI_SET_GAUGE_VALUE);
    let state = client.ask(&command(Code::SYSTEM_STATE_GET)).frame.selector();
    assert_eq!(state, Code::SYSTEM_STATE_WORK_FLOW_RUNNING.0 as i32);
    assert_eq!(client.ask(&command(Code::CAMERA_LIVE_VIEW_START)).frame.status, 0);
    assert_eq!(client.ask(&command(Code::CAMERA_SNAPSHOT_GET)).frame.status, 0);
    client.send(&Frame::new(Code::CAMERA_WORK_FLOW_STOP));
    let (before, _) = client.until_code(Code::SYSTEM_STATE_IDLE);
    assert!(
        before
            .iter()
            .any(|got| { got.frame.code == Code::STAGE_MOTION_STOPPED && got.frame.status == 0 })
    );
    assert!(!codes(&before).contains(&Code::UI_IMAGES_SAVED_TO_STORAGE));
    client.until_code(Code::CAMERA_WORK_FLOW_STOP);
    assert!(client.settle().is_empty(), "nothing runs any more");
}
