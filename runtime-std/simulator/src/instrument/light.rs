//! Lasers, LEDs, illumination paths and the filter wheel.

use flamingo_protocol_core::{CommandCode as Code, Flags, Frame, wire::Row};

use super::{Command, Instrument, Reply, with_text};

pub(super) struct Light {
    /// Percent, of lasers 1 to 4.
    levels: [f64; 4],
    enabled: [bool; 4],
    pub(super) led: Led,
    filter: i32,
}

/// The LEDs, as the scope settings show them.
pub(super) struct Led {
    /// 0 to 65535, of colours 0 to 3.
    pub(super) values: [i32; 4],
    pub(super) colour: i32,
    pub(super) preview: bool,
}

impl Default for Light {
    fn default() -> Self {
        Self {
            levels: [5.0, 11.49, 7.25, 0.0],
            enabled: [false; 4],
            led: Led { values: [41_000, 52_000, 53_500, 50_500], colour: 1, preview: false },
            filter: 1,
        }
    }
}

/// The index of laser 1 to 4.
fn laser(number: i32) -> Option<usize> {
    usize::try_from(number - 1).ok().filter(|at| *at < 4)
}

impl Light {
    /// The level of a laser as the instrument writes it.
    pub(super) fn level_text(&self, number: i32) -> String {
        let level = laser(number).and_then(|at| self.levels.get(at)).copied().unwrap_or(0.0);
        format!("{level:.2}")
    }

    /// Switches all lasers off and returns the numbers of those that were on.
    pub(super) fn lasers_off(&mut self) -> Vec<i32> {
        let on = (1..=4).zip(self.enabled).filter(|(_, on)| *on).map(|(number, _)| number);
        let on = on.collect();
        self.enabled = [false; 4];
        on
    }

    /// Sets a laser up for a workflow.
    pub(super) fn use_laser(&mut self, number: i32, percent: f64, on: bool) {
        if let Some(at) = laser(number) {
            self.levels[at] = percent.clamp(0.0, 100.0);
            self.enabled[at] = on;
        }
    }

    fn switch(&mut self, number: i32, on: bool, alone: bool) -> bool {
        let Some(at) = laser(number) else { return false };
        if alone {
            self.enabled = [false; 4];
        }
        self.enabled[at] = on;
        true
    }

    fn set_level(&mut self, number: i32, text: &str) -> bool {
        let level = text.trim().parse::<f64>().ok().filter(|level| (0.0..=100.0).contains(level));
        let (Some(at), Some(level)) = (laser(number), level) else { return false };
        self.levels[at] = level;
        true
    }

    fn set_led(&mut self, colour: i32, value: i32) -> bool {
        let place = usize::try_from(colour).ok().and_then(|at| self.led.values.get_mut(at));
        let Some(place) = place.filter(|_| (0..=65_535).contains(&value)) else { return false };
        *place = value;
        true
    }
}

impl Instrument {
    /// Whether this is an LED or illumination command that the scenario acknowledges.
    pub(super) fn is_acknowledged_light(&self, command: &Frame) -> bool {
        self.scenario.light.acknowledged
            && command.flags.contains(Flags::TRIGGER_CALL_BACK)
            && command.code.row().is_some_and(Row::is_usually_acknowledged)
    }

    pub(super) fn light_command(&mut self, command: &Command) -> Option<Reply> {
        let [data0, data1, _] = command.frame.int32_data;
        let light = &mut self.light;
        let done = match command.frame.code {
            Code::LASER_LEVEL_GET => return Some(self.laser_level(command)),
            Code::LASER_LEVEL_SET => {
                let set = light.set_level(data0, command.frame.text().unwrap_or(""));
                let mut get = Frame { status: 1, ..Frame::new(Code::LASER_LEVEL_GET) };
                get.int32_data[0] = data0;
                let get = with_text(get, &light.level_text(data0));
                if set && self.scenario.light.level_pushed_after_set {
                    self.push(get, &[]);
                } else if set {
                    self.push_get_after_set(get);
                }
                set
            }
            Code::LASER_ENABLE | Code::LASER_ENABLE_LINE => light.switch(data0, true, false),
            Code::LASER_ENABLE_PREVIEW => light.switch(data0, true, true),
            Code::LASER_DISABLE => light.switch(data0, false, false),
            Code::LASER_DISABLE_ALL => {
                light.enabled = [false; 4];
                true
            }
            Code::LED_SET => light.set_led(data0, data1),
            Code::LED_PREVIEW_ENABLE | Code::LED_PREVIEW_DISABLE => {
                light.led.preview = command.frame.code == Code::LED_PREVIEW_ENABLE;
                true
            }
            Code::LED_SELECTION_CHANGE => {
                let valid = (0..4).contains(&data0);
                light.led.colour = if valid { data0 } else { light.led.colour };
                valid
            }
            // Nothing else depends on the illumination paths, so their state is not stored.
            Code::ILLUMINATION_LEFT_ENABLE
            | Code::ILLUMINATION_LEFT_DISABLE
            | Code::ILLUMINATION_RIGHT_ENABLE
            | Code::ILLUMINATION_RIGHT_DISABLE => true,
            Code::FILTER_WHEEL_POSITION_SET => self.turn_filter_wheel(data0),
            Code::FILTER_WHEEL_POSITION_GET => {
                let mut reply = Reply::done(command);
                reply.frame.int32_data[0] = light.filter;
                return Some(reply);
            }
            _ => return None,
        };
        Some(Reply::done_if(command, done))
    }

    fn laser_level(&self, command: &Command) -> Reply {
        let number = command.frame.selector();
        let declined = self.scenario.light.declining_lasers.contains(&number);
        if declined || laser(number).is_none() {
            let mut reply = Reply::refused(command);
            reply.frame = with_text(reply.frame, "getLevel error");
            return reply;
        }
        let mut reply = Reply::done(command);
        reply.frame = with_text(reply.frame, &self.light.level_text(number));
        reply
    }

    fn turn_filter_wheel(&mut self, position: i32) -> bool {
        // The settings number the filters from 1 and assign position 0 to the LED, so the count is not known.
        if !(0..=8).contains(&position) {
            return false;
        }
        self.light.filter = position;
        let mut get = Frame { status: 1, ..Frame::new(Code::FILTER_WHEEL_POSITION_GET) };
        get.int32_data[0] = position;
        self.push_get_after_set(get);
        true
    }
}
