-- A Wireshark dissector for the Flamingo light-sheet microscope. It shows control frames with their
-- payloads, and the image streams. Copy it to the folder that Help > About Wireshark > Folders calls
-- "Personal Lua Plugins", or run: tshark -X lua_script:flamingo.lua -r run.pcapng
--
-- A connection is recognised by its port number (53717 to 53720), by the name of the interface in
-- recordings of `flamingo record` and `flamingo bridge --record`, or by its first bytes.

local FRAME = 128
local HEADER = 40
local MAX_PAYLOAD = 33554432
local MAX_IMAGE = 134217728
local START = "\x54\xe6\x21\xf3" -- 0xF321E654 on the wire
local FIRST_PORT, LAST_PORT = 53710, 53810 -- the instrument's range

-- The commands, as in protocol-core/src/wire/command.rs. up: the command has a payload; its echo
-- repeats the length, but has no payload. sel: what int32Data0 selects.
local commands = {
    [0x1007] = { name = "COMMON_SCOPE_SETTINGS" },
    [0x1008] = { name = "COMMON_SCOPE_SETTINGS_SAVE", up = true },
    [0x1009] = { name = "COMMON_SCOPE_SETTINGS_LOAD" },
    [0x100B] = { name = "COMMON_CONTROL_SETTINGS_SAVE", up = true },
    [0x1013] = { name = "STORAGE_PATH_SET" },
    [0x1014] = { name = "STORAGE_PATH_UNMOUNT" },
    [0x1015] = { name = "STORAGE_PATH_TEST" },
    [0x1017] = { name = "COMMON_SYSTEM_UPDATE_LIVE_VIEW" },
    [0x2001] = { name = "LASER_LEVEL_SET", sel = "laser" },
    [0x2002] = { name = "LASER_LEVEL_GET", sel = "laser" },
    [0x2003] = { name = "LASER_ENABLE", sel = "laser" },
    [0x2004] = { name = "LASER_ENABLE_PREVIEW", sel = "laser" },
    [0x2005] = { name = "LASER_ENABLE_LINE", sel = "laser" },
    [0x2006] = { name = "LASER_DISABLE", sel = "laser" },
    [0x2007] = { name = "LASER_DISABLE_ALL", sel = "laser" },
    [0x3001] = { name = "CAMERA_ALL_SETTINGS_GET" },
    [0x3004] = { name = "CAMERA_WORK_FLOW_START", up = true },
    [0x3005] = { name = "CAMERA_WORK_FLOW_STOP" },
    [0x3006] = { name = "CAMERA_SNAPSHOT_GET" },
    [0x3007] = { name = "CAMERA_LIVE_VIEW_START" },
    [0x3008] = { name = "CAMERA_LIVE_VIEW_STOP" },
    [0x3009] = { name = "CAMERA_EXPOSURE_SET" },
    [0x300A] = { name = "CAMERA_EXPOSURE_GET" },
    [0x300F] = { name = "CAMERA_ROI_LEFT_SET" },
    [0x3010] = { name = "CAMERA_ROI_LEFT_GET" },
    [0x3011] = { name = "CAMERA_ROI_TOP_SET" },
    [0x3012] = { name = "CAMERA_ROI_TOP_GET" },
    [0x3014] = { name = "CAMERA_STACK_COMPLETE" },
    [0x3027] = { name = "CAMERA_IMAGE_SIZE_GET" },
    [0x302B] = { name = "CAMERA_CHECK_STACK" },
    [0x3036] = { name = "CAMERA_CHECK_STACK_UPDATES" },
    [0x3037] = { name = "CAMERA_PIXEL_FIELD_OF_VIEW_GET" },
    [0x4001] = { name = "LED_SET", sel = "led" },
    [0x4002] = { name = "LED_PREVIEW_ENABLE" },
    [0x4003] = { name = "LED_PREVIEW_DISABLE" },
    [0x4006] = { name = "LED_SELECTION_CHANGE" },
    [0x5001] = { name = "FILTER_WHEEL_POSITION_SET" },
    [0x5002] = { name = "FILTER_WHEEL_POSITION_GET" },
    [0x6001] = { name = "STAGE_FIND_REFERENCE", sel = "axis" },
    [0x6002] = { name = "STAGE_HOME", sel = "axis" },
    [0x6003] = { name = "STAGE_HALT", sel = "axis" },
    [0x6004] = { name = "STAGE_POSITION_SET", sel = "axis" },
    [0x6005] = { name = "STAGE_POSITION_SET_SLIDER", sel = "axis" },
    [0x6006] = { name = "STAGE_POSITION_SET_TEXT", sel = "axis" },
    [0x6008] = { name = "STAGE_POSITION_GET", sel = "axis" },
    [0x6009] = { name = "STAGE_VELOCITY_SET", sel = "axis" },
    [0x600F] = { name = "STAGE_WAIT_FOR_MOTION_TO_STOP", sel = "axis" },
    [0x6010] = { name = "STAGE_MOTION_STOPPED", sel = "axis" },
    [0x7004] = { name = "ILLUMINATION_LEFT_ENABLE" },
    [0x7005] = { name = "ILLUMINATION_LEFT_DISABLE" },
    [0x7006] = { name = "ILLUMINATION_RIGHT_ENABLE" },
    [0x7007] = { name = "ILLUMINATION_RIGHT_DISABLE" },
    [0x9003] = { name = "UI_SET_GAUGE_SIZE" },
    [0x9004] = { name = "UI_SET_GAUGE_VALUE" },
    [0x9005] = { name = "UI_LIVE_VIEW_UPDATE_ON_CHANGE_ENABLED" },
    [0x9007] = { name = "UI_IMAGES_SAVED_TO_STORAGE" },
    [0x9008] = { name = "UI_END" },
    [0xA001] = { name = "SYSTEM_STATE_DISCONNECTED" },
    [0xA002] = { name = "SYSTEM_STATE_IDLE" },
    [0xA003] = { name = "SYSTEM_STATE_SNAP_SHOT" },
    [0xA004] = { name = "SYSTEM_STATE_LIVE_VIEW" },
    [0xA005] = { name = "SYSTEM_STATE_WORK_FLOW_RUNNING" },
    [0xA007] = { name = "SYSTEM_STATE_GET" },
}

local axes = { [1] = "axis x", [2] = "axis y", [3] = "axis z", [4] = "axis r", [255] = "all axes" }
local colours = { [0] = "LED red", [1] = "LED green", [2] = "LED blue", [3] = "LED white" }

local names = {}
for code, row in pairs(commands) do
    names[code] = row.name
end

----------------------------------------------------------------------------------------------------
-- What a capture tells besides the bytes.

local interface_name = Field.new("frame.interface_name")
local tcp_stream = Field.new("tcp.stream")
local tcp_syn = Field.new("tcp.flags.syn")
local tcp_ack = Field.new("tcp.flags.ack")

-- The port number of the instrument, by the number of the TCP stream.
local servers = {}

-- Returns "control", "live" or "stack", and whether pixels were left out. Returns nil if the interface
-- does not belong to a recording.
local function recorded_port()
    local name = interface_name()
    if not name then
        return nil
    end
    local port = tostring(name.value):match("^flamingo%-(%l+)")
    return port, tostring(name.value):match("%-headers$") ~= nil
end

-- Returns whether the instrument sent the packet, or nil if that is not known.
local function from_instrument(pinfo)
    local stream = tcp_stream()
    local server = stream and servers[stream.value]
    if server then
        return pinfo.src_port == server
    end
    local source = pinfo.src_port >= FIRST_PORT and pinfo.src_port <= LAST_PORT
    local target = pinfo.dst_port >= FIRST_PORT and pinfo.dst_port <= LAST_PORT
    if source ~= target then
        return source
    end
    return nil
end

-- Asks for more bytes. Returns false if they cannot be provided.
local function request_bytes(pinfo, offset, count)
    if pinfo.can_desegment > 0 then
        pinfo.desegment_offset = offset
        pinfo.desegment_len = count
        return true
    end
    return false
end

----------------------------------------------------------------------------------------------------
-- The control port.

local control = Proto("flamingo", "Flamingo Microscope Control")
local f = control.fields
f.start = ProtoField.uint32("flamingo.start", "cmdStart", base.HEX)
f.code = ProtoField.uint32("flamingo.code", "cmd", base.HEX, names)
f.name = ProtoField.string("flamingo.name", "Name")
f.status = ProtoField.int32("flamingo.status", "status")
f.hardware_id = ProtoField.int32("flamingo.hardware_id", "hardwareID")
f.subsystem_id = ProtoField.int32("flamingo.subsystem_id", "subsystemID")
f.client_id = ProtoField.int32("flamingo.client_id", "clientID")
f.int32_data0 = ProtoField.int32("flamingo.int32_data0", "int32Data0")
f.int32_data1 = ProtoField.int32("flamingo.int32_data1", "int32Data1")
f.int32_data2 = ProtoField.int32("flamingo.int32_data2", "int32Data2")
f.flags = ProtoField.uint32("flamingo.flags", "cmdDataBits0", base.HEX)
f.value = ProtoField.double("flamingo.value", "doubleData")
f.payload_bytes = ProtoField.uint32("flamingo.payload_bytes", "additionalDataBytes")
f.buffer = ProtoField.bytes("flamingo.buffer", "buffer")
f.text = ProtoField.string("flamingo.text", "Text")
f.stop = ProtoField.uint32("flamingo.end", "cmdEnd", base.HEX)
f.payload = ProtoField.bytes("flamingo.payload", "Payload")
f.payload_text = ProtoField.string("flamingo.payload_text", "Payload as text")
f.noise = ProtoField.bytes("flamingo.noise", "Bytes that are no frame")

local flags = {
    { "trigger_call_back", "TRIGGER_CALL_BACK", 0x80000000 },
    { "answer_tag", "ANSWER_TAG", 0x40000000 },
    { "experiment_time_remaining", "EXPERIMENT_TIME_REMAINING", 0x00000001 },
    { "stage_positions_in_buffer", "STAGE_POSITIONS_IN_BUFFER", 0x00000002 },
    { "max_projection", "MAX_PROJECTION", 0x00000004 },
    { "save_to_disk", "SAVE_TO_DISK", 0x00000008 },
    { "stage_not_update_client", "STAGE_NOT_UPDATE_CLIENT", 0x00000010 },
    { "stage_zsweep", "STAGE_ZSWEEP", 0x00000020 },
}
for _, flag in ipairs(flags) do
    f["flag_" .. flag[1]] = ProtoField.bool("flamingo.flags." .. flag[1], flag[2], 32, nil, flag[3])
end

local noise_expert = ProtoExpert.new(
    "flamingo.noise.expert", "Bytes that are no frame", expert.group.PROTOCOL, expert.severity.WARN)
control.experts = { noise_expert }

-- Returns the offset of the next start marker, or of its beginning at the end of the bytes.
local function find_start(bytes, from)
    local at = bytes:find(START, from + 1, true)
    if at then
        return at - 1
    end
    for length = 3, 1, -1 do
        if #bytes - length >= from and bytes:sub(-length) == START:sub(1, length) then
            return #bytes - length
        end
    end
    return #bytes
end

-- Returns the number of payload bytes after the frame.
local function payload_length(tvb, offset, pinfo)
    local declared = tvb(offset + 48, 4):le_uint()
    local row = commands[tvb(offset + 4, 4):le_uint()]
    if declared > 0 and row and row.up then
        local answer = from_instrument(pinfo)
        if answer == nil then
            answer = tvb(offset + 8, 4):le_int() ~= 0
        end
        if answer then
            return 0
        end
    end
    return declared
end

-- Returns the command that a code means on older firmware: there the camera codes from 0x3027 on are
-- four higher.
local function older_name(code)
    local row = code >= 0x302B and code <= 0x3FFF and commands[code - 4]
    return row and row.name
end

-- Returns the text of a frame for people: in the payload, or in the buffer.
local function message_text(tvb, offset, length)
    local text = ""
    if length > FRAME then
        text = tvb(offset + FRAME, length - FRAME):raw()
    elseif tvb(offset + 52, 1):uint() ~= 0 then
        text = tvb(offset + 52, 72):stringz()
    end
    return not text:find("[^%g%s]") and text:gsub("%s+", " "):sub(1, 200) or ""
end

-- Returns what a status says. Only the instrument sets one. `answer`: whether the instrument sent the
-- frame; nil if that is not known.
local function status_text(status, answer)
    if answer == false then
        return status == 0 and " (a command has no status)" or ""
    elseif status == 1 then
        return " (success)"
    elseif status == 0 and answer then
        return " (failure, or not set)"
    elseif status == 0 then
        return " (failure or not set on an answer; a command has no status)"
    end
    return ""
end

-- `answer`: whether the instrument sent the frame; nil if that is not known. Only the instrument fills in
-- the status and the result.
local function add_frame(tvb, offset, length, tree, answer)
    local code = tvb(offset + 4, 4):le_uint()
    local row = commands[code]
    local name = row and row.name or string.format("0x%04X", code)
    local selected = tvb(offset + 24, 4):le_int()
    local selects
    if row and row.sel == "axis" then
        selects = axes[selected] or "no known axis"
    elseif row and row.sel == "laser" then
        selects = "laser " .. selected
    elseif row and row.sel == "led" then
        selects = colours[selected] or "no known LED"
    end
    local summary = selects and (name .. " " .. selects) or name
    local item = tree:add(control, tvb(offset, length), "Flamingo, " .. summary)
    item:add_le(f.start, tvb(offset, 4))
    local code_item = item:add_le(f.code, tvb(offset + 4, 4))
    if older_name(code) then
        code_item:append_text(" (older firmware: " .. older_name(code) .. ")")
    end
    item:add(f.name, tvb(offset + 4, 4), name):set_generated()
    local status = item:add_le(f.status, tvb(offset + 8, 4))
    status:append_text(status_text(tvb(offset + 8, 4):le_int(), answer))
    item:add_le(f.hardware_id, tvb(offset + 12, 4))
    item:add_le(f.subsystem_id, tvb(offset + 16, 4))
    item:add_le(f.client_id, tvb(offset + 20, 4))
    local data0 = item:add_le(f.int32_data0, tvb(offset + 24, 4))
    if selects then
        data0:append_text(" (" .. selects .. ")")
    elseif code == 0xA007 and answer ~= false and names[selected] then
        data0:append_text(" (" .. names[selected] .. ")")
    end
    item:add_le(f.int32_data1, tvb(offset + 28, 4))
    item:add_le(f.int32_data2, tvb(offset + 32, 4))
    local bits = item:add_le(f.flags, tvb(offset + 36, 4))
    for _, flag in ipairs(flags) do
        bits:add_le(f["flag_" .. flag[1]], tvb(offset + 36, 4))
    end
    local value = item:add_le(f.value, tvb(offset + 40, 8))
    local is_position = code == 0x6008 and answer ~= false and selected >= 1 and selected <= 3
    if is_position and tvb(offset + 40, 8):le_float() == 0 then
        value:append_text(" (0: no position, or not known)")
    end
    item:add_le(f.payload_bytes, tvb(offset + 48, 4))
    local buffer = item:add(f.buffer, tvb(offset + 52, 72))
    if tvb(offset + 52, 1):uint() ~= 0 then
        buffer:add(f.text, tvb(offset + 52, 72), tvb(offset + 52, 72):stringz())
    end
    item:add_le(f.stop, tvb(offset + 124, 4))
    if length > FRAME then
        local payload = tvb(offset + FRAME, length - FRAME)
        local bytes = item:add(f.payload, payload)
        if not payload:raw():find("[^%g%s]") then
            bytes:add(f.payload_text, payload, payload:string())
        end
        summary = string.format("%s (%d bytes)", summary, length - FRAME)
    end
    if not row and message_text(tvb, offset, length) ~= "" then
        summary = summary .. ": " .. message_text(tvb, offset, length)
    end
    return summary
end

local function dissect_control(tvb, pinfo, tree)
    pinfo.cols.protocol = "Flamingo"
    local length = tvb:len()
    local bytes = tvb:raw()
    local offset, searched = 0, 0
    local summary = {}
    while searched < length do
        local at = find_start(bytes, searched)
        local rest = length - at
        local total = FRAME
        local is_frame = true
        if rest >= FRAME then
            is_frame = tvb(at + 124, 4):le_uint() == 0xFEDC4321
                and tvb(at + 48, 4):le_uint() <= MAX_PAYLOAD
            if is_frame then
                total = FRAME + payload_length(tvb, at, pinfo)
            end
        end
        if not is_frame then
            searched = at + 1
        else
            if at > offset then
                local item = tree:add(control, tvb(offset, at - offset), "Flamingo, bytes that are no frame")
                item:add(f.noise, tvb(offset, at - offset)):add_proto_expert_info(noise_expert)
                summary[#summary + 1] = string.format("%d bytes that are no frame", at - offset)
                offset = at
            end
            if rest == 0 then
                break
            elseif rest < total then
                if not request_bytes(pinfo, at, total - rest) then
                    tree:add(control, tvb(at, rest), "Flamingo, part of a frame")
                end
                break
            end
            summary[#summary + 1] = add_frame(tvb, at, total, tree, from_instrument(pinfo))
            offset, searched = at + total, at + total
        end
    end
    if searched >= length and offset < length then
        -- The last start marker was false.
        local item = tree:add(control, tvb(offset), "Flamingo, bytes that are no frame")
        item:add(f.noise, tvb(offset)):add_proto_expert_info(noise_expert)
        summary[#summary + 1] = string.format("%d bytes that are no frame", length - offset)
    end
    if #summary > 0 then
        pinfo.cols.info = table.concat(summary, ", ")
    end
    return length
end

control.dissector = dissect_control

----------------------------------------------------------------------------------------------------
-- The image ports.

local image = Proto("flamingo_image", "Flamingo Microscope Images")
local g = image.fields
local header_fields = {
    { "size", "imageSize" }, { "width", "imageWidth" }, { "height", "imageHeight" },
    { "scale_min", "imageScaleMin" }, { "scale_max", "imageScaleMax" }, { "device", "deviceIndex" },
    { "options", "optionsSettings1" }, { "crosshair", "optionsSettings2" },
    { "index_start", "imageIndexStart" }, { "index_stop", "imageIndexStop" },
}
for position, field in ipairs(header_fields) do
    local abbreviation = "flamingo_image." .. field[1]
    if position > 8 then
        g[field[1]] = ProtoField.int32(abbreviation, field[2])
    elseif position > 6 then
        g[field[1]] = ProtoField.uint32(abbreviation, field[2], base.HEX)
    else
        g[field[1]] = ProtoField.uint32(abbreviation, field[2])
    end
end
g.pixels = ProtoField.bytes("flamingo_image.pixels", "Pixels, 16 bit")
g.left_out = ProtoField.bool("flamingo_image.pixels_left_out", "Pixels left out of the recording")

local header_expert = ProtoExpert.new(
    "flamingo_image.header.expert", "Invalid image header", expert.group.MALFORMED, expert.severity.ERROR)
image.experts = { header_expert }

local function header_at(tvb, offset)
    local size = tvb(offset, 4):le_uint()
    local width, height = tvb(offset + 4, 4):le_uint(), tvb(offset + 8, 4):le_uint()
    local plausible = size == 2 * width * height and size <= MAX_IMAGE and tvb(offset + 20, 4):le_uint() <= 3
    return plausible, size, width, height
end

local function dissect_images(tvb, pinfo, tree)
    pinfo.cols.protocol = "Flamingo"
    local _, left_out = recorded_port()
    local length = tvb:len()
    local offset = 0
    local summary = {}
    while offset < length do
        local rest = length - offset
        if rest < HEADER then
            if not request_bytes(pinfo, offset, HEADER - rest) then
                tree:add(image, tvb(offset), "Flamingo, part of an image header")
            end
            break
        end
        local plausible, size, width, height = header_at(tvb, offset)
        if not plausible then
            local item = tree:add(image, tvb(offset), "Flamingo, no image header")
            item:add_proto_expert_info(header_expert)
            summary[#summary + 1] = "no image header"
            break
        end
        local total = HEADER + (left_out and 0 or size)
        if rest < total and request_bytes(pinfo, offset, total - rest) then
            break
        end
        total = math.min(total, rest)
        local index = tvb(offset + 32, 4):le_int()
        local title = string.format("image %d, %d x %d", index, width, height)
        if size == 0 then
            title = "image options"
        end
        local item = tree:add(image, tvb(offset, total), "Flamingo, " .. title)
        for position, field in ipairs(header_fields) do
            item:add_le(g[field[1]], tvb(offset + 4 * (position - 1), 4))
        end
        if total > HEADER then
            item:add(g.pixels, tvb(offset + HEADER, total - HEADER))
        elseif size > 0 then
            item:add(g.left_out, true):set_generated()
        end
        summary[#summary + 1] = title
        offset = offset + total
    end
    if #summary > 0 then
        pinfo.cols.info = table.concat(summary, ", ")
    end
    return length
end

image.dissector = dissect_images

----------------------------------------------------------------------------------------------------
-- Which dissector gets which packets.

control.prefs.port = Pref.uint("Control port", 53717, "Control port of the instrument; the image ports are the next two")
control.prefs.callback = Pref.uint("Callback port", 53720, "Port of a bridge for unsolicited messages")

local tcp_port = DissectorTable.get("tcp.port")
local registered = {}

local function register()
    for port, proto in pairs(registered) do
        tcp_port:remove(port, proto)
    end
    local first = control.prefs.port
    registered = { [first] = control, [first + 1] = image, [first + 2] = image, [control.prefs.callback] = control }
    for port, proto in pairs(registered) do
        tcp_port:add(port, proto)
    end
end
register()

function control.prefs_changed()
    register()
end

-- Returns the dissector for the name of the interface.
local function dissector_of_recording()
    local port = recorded_port()
    if port == "control" then
        return control
    end
    return port and image
end

-- Calls the function `dissect` itself: a dissector that is called may not ask for more bytes.
local function heuristic(proto, dissect, looks_like)
    return function(tvb, pinfo, tree)
        local by_name = dissector_of_recording()
        if by_name ~= proto and (by_name or not looks_like(tvb)) then
            return false
        end
        pinfo.conversation = proto
        dissect(tvb, pinfo, tree)
        return true
    end
end

control:register_heuristic("tcp", heuristic(control, dissect_control, function(tvb)
    if tvb:len() < 4 or tvb(0, 4):raw() ~= START then
        return false
    end
    return tvb:len() < FRAME or tvb(124, 4):le_uint() == 0xFEDC4321
end))

image:register_heuristic("tcp", heuristic(image, dissect_images, function(tvb)
    if tvb:len() < HEADER then
        return false
    end
    local plausible, size = header_at(tvb, 0)
    return plausible and size > 0
end))

-- Sees every packet, so that the side that accepted and the kind of a recorded connection are known
-- before the first bytes.
local opener = Proto("flamingo_opener", "Flamingo Microscope Connections")

function opener.dissector(_, pinfo, _)
    local syn, ack, stream = tcp_syn(), tcp_ack(), tcp_stream()
    if not (syn and syn.value and stream) then
        return
    end
    servers[stream.value] = (ack and ack.value) and pinfo.src_port or pinfo.dst_port
    local proto = dissector_of_recording()
    if proto then
        pinfo.conversation = proto
    end
end

function control.init()
    servers = {}
end

register_postdissector(opener)
