-- bench/peers/hook.lua - weir: reads a header and a cookie, hashes, names an upstream.
return {
  on_request = function(req)
    if req:header("x-plan") == "staff" then return "b" end
    if weir.hash(req:cookie("id") or "") < 0.1 then return "b" end
    return "a"
  end,
}
