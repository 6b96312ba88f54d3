-- list.lua - weir.list: short answers about lists and texts of items.
local M = {}

-- Is the value among the items?
function M.contains(list, value)
  for _, item in ipairs(list) do
    if item == value then
      return true
    end
  end
  return false
end

-- { "a", "b" } -> { a = true, b = true }: made once, while the file is loaded, it answers at once.
function M.set(list)
  local set = {}
  for _, item in ipairs(list) do
    set[item] = true
  end
  return set
end

-- "a, b,,c" -> { "a", "b", "c" }: items between separators (a comma when none is named), without blanks around them and
-- without empty ones; at most `most` (1000).
function M.split(text, separator, most)
  local items, from = {}, 1
  separator = separator or ","
  while from <= #text and #items < (most or 1000) do
    local first, last = text:find(separator, from, true)
    local item = text:sub(from, (first or #text + 1) - 1):match("^%s*(.-)%s*$")
    if item ~= "" then
      items[#items + 1] = item
    end
    from = (last or #text) + 1
  end
  return items
end

return M
