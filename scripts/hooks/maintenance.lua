-- maintenance.lua - answers 503 with a page while the site is worked on; staff and health checks pass.
--
-- Put `script: maintenance.lua` on the routes that are closed; a reload opens and closes them without dropping a request.
-- Programs get JSON, browsers a page. Retry-After tells both, and search engines, when to come back.
local config = {
  staff_segment = "staff",              -- who may look at the site all the same
  open_paths = { "/healthz", "/status" }, -- and what stays open: these, and what is below
  retry_after = 1800,                   -- seconds
  page = [[
<!doctype html><meta charset="utf-8"><title>Back soon</title>
<h1>Back soon</h1><p>We are working on the site. Please come back in half an hour.</p>
]],
  json = '{"error":"maintenance"}\n',
}

local M = {}

local function is_open(path)
  for _, open in ipairs(config.open_paths) do
    if path == open or path:sub(1, #open + 1) == open .. "/" then
      return true
    end
  end
  return false
end

function M.on_request(req)
  if is_open(req.path) or weir.segment(config.staff_segment) then
    return nil
  end
  local is_page = (req:header("accept") or ""):find("text/html", 1, true)
  return {
    status = 503,
    headers = {
      ["content-type"] = is_page and "text/html; charset=utf-8" or "application/json",
      ["cache-control"] = "no-store",
      ["retry-after"] = tostring(config.retry_after),
    },
    body = is_page and config.page or config.json,
  }
end

return M
