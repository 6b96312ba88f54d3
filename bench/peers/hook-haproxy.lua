-- bench/peers/hook-haproxy.lua - HAProxy: the same as a fetch, which costs less than an action.
core.register_fetches("pick", function(txn)
  if txn.f:req_hdr("x-plan") == "staff" then return "b" end
  if txn.c:xxh32(txn.f:req_cook("id") or "") % 100 < 10 then return "b" end
  return "a"
end)
