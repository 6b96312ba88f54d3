-- semver.lua - weir.semver: versions in their order (semver.org 2.0.0).
--
-- Pre-releases come before their release: 3.0.0-beta.2 < 3.0.0-beta.11 < 3.0.0. What stands behind a + does not count. A leading
-- v, and versions of one or two numbers (3 and 3.1 for 3.0.0 and 3.1.0), are taken too: apps send them.
local M = {}

local LONGEST = 128

-- Digits of any length, as numbers: -1, 0 or 1.
local function compare_numbers(a, b)
  a, b = a:gsub("^0+", ""), b:gsub("^0+", "")
  if #a ~= #b then
    return #a < #b and -1 or 1
  end
  return a == b and 0 or a < b and -1 or 1
end

-- Numbers come before words.
local function compare_identifiers(a, b)
  local a_is_number, b_is_number = a:find("^%d+$"), b:find("^%d+$")
  if a_is_number and b_is_number then
    return compare_numbers(a, b)
  elseif a_is_number or b_is_number then
    return a_is_number and -1 or 1
  end
  return a == b and 0 or a < b and -1 or 1
end

local function compare_pre(a, b)
  if not a or not b then
    return (a and -1) or (b and 1) or 0
  end
  for i = 1, math.min(#a, #b) do
    local order = compare_identifiers(a[i], b[i])
    if order ~= 0 then
      return order
    end
  end
  return #a == #b and 0 or #a < #b and -1 or 1
end

-- Parts between dots, none of them empty; nil when one is.
local function identifiers(text)
  local list = {}
  for part in (text .. "."):gmatch("([^.]*)%.") do
    if part == "" then
      return nil
    end
    list[#list + 1] = part
  end
  return list
end

-- A text -> { "3", "0", "0", pre = { "beta", "1" } }: the three numbers as digits; nil when it is no version.
function M.parse(text)
  if type(text) ~= "string" or #text > LONGEST then
    return nil
  end
  local core, rest = text:match("^v?(%d[%d.]*)(.*)$")
  local numbers = core and identifiers(core)
  if not numbers or #numbers > 3 then
    return nil
  end
  rest = rest:gsub("^%+[%w.-]+$", ""):gsub("^(%-[%w.-]+)%+[%w.-]+$", "%1")
  local pre
  if rest ~= "" then
    pre = rest:find("^%-[%w.-]+$") and identifiers(rest:sub(2))
    if not pre then
      return nil
    end
  end
  return { numbers[1], numbers[2] or "0", numbers[3] or "0", pre = pre }
end

-- Texts, or what parse gave: -1, 0 or 1 as a comes before b or not; nil when one is no version.
function M.compare(a, b)
  a = type(a) == "table" and a or M.parse(a)
  b = type(b) == "table" and b or M.parse(b)
  if not a or not b then
    return nil
  end
  for i = 1, 3 do
    local order = compare_numbers(a[i], b[i])
    if order ~= 0 then
      return order
    end
  end
  return compare_pre(a.pre, b.pre)
end

-- Is it that version or a later one? False for what is no version.
function M.at_least(version, minimum)
  local order = M.compare(version, minimum)
  return order ~= nil and order >= 0
end

return M
