package caddymodule

import (
	"encoding/json"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/dagfence/dagfence/caddymodule/caddyjson"
)

// warnOfForwardProxy logs each reverse_proxy of the fence's server that would send
// tasks' tokens to a forward proxy. Handlers behind the fence are not provisioned
// yet, so their JSON is still there.
func (h *Handler) warnOfForwardProxy(ctx caddy.Context) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return
	}
	var routes any
	content, err := json.Marshal(server)
	if err != nil || json.Unmarshal(content, &routes) != nil {
		return
	}
	for _, handler := range caddyjson.Handlers(routes) {
		if proxy, ok := caddyjson.ReverseProxyOf(handler); ok {
			for _, upstream := range proxy.ForwardProxied() {
				h.logger.Warn("requests go to upstream through a forward proxy, tokens included, because the environment names one: "+
					"write network_proxy none into the transport of reverse_proxy",
					zap.String("variable", proxy.ForwardProxyVariable()), zap.String("upstream", upstream))
			}
		}
	}
}
