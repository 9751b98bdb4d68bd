package adapt_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// examples are the Caddyfiles in the documentation that forward to upstream, by
// where they are.
func examples(t *testing.T) map[string]string {
	t.Helper()
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	block := regexp.MustCompile("(?s)```caddyfile\n(.*?)```")
	for _, page := range append(pages, "../../README.md", "../../Caddyfile") {
		content, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := block.FindAllStringSubmatch(string(content), -1)
		if filepath.Ext(page) == "" {
			blocks = [][]string{{"", string(content)}}
		}
		for _, text := range blocks {
			if strings.Contains(text[1], "reverse_proxy") {
				first, _, _ := strings.Cut(text[1], "\n")
				found[filepath.Base(page)+": "+first] = text[1]
			}
		}
	}
	return found
}

// example is what matters of an adapted one.
type example struct {
	Admin struct {
		Disabled bool `json:"disabled"`
		Config   struct {
			Persist *bool `json:"persist"`
		} `json:"config"`
	} `json:"admin"`
	Apps struct {
		HTTP struct {
			Servers map[string]struct {
				Protocols      []string `json:"protocols"`
				MaxHeaderBytes int      `json:"max_header_bytes"`
				Routes         []struct {
					Handle []struct {
						Handler   string `json:"handler"`
						Transport struct {
							NetworkProxy struct {
								From string `json:"from"`
							} `json:"network_proxy"`
						} `json:"transport"`
						Headers struct {
							Request struct {
								Set map[string][]string `json:"set"`
							} `json:"request"`
							Response struct {
								Replace map[string][]map[string]string `json:"replace"`
							} `json:"response"`
						} `json:"headers"`
					} `json:"handle"`
				} `json:"routes"`
			} `json:"servers"`
		} `json:"http"`
	} `json:"apps"`
}

func TestExamples_AreComplete(t *testing.T) {
	t.Parallel()
	all := examples(t)
	if len(all) < 5 {
		t.Errorf("only %d examples: %v", len(all), all)
	}
	for name, text := range all {
		whole := strings.HasPrefix(strings.TrimLeft(regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(text, ""), "\n"), "{")
		if strings.HasPrefix(text, "reverse_proxy") {
			text = ":8081 {\n" + text + "}\n"
		}
		adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got example
		if err := json.Unmarshal(adapted, &got); err != nil {
			t.Fatal(err)
		}
		if whole && (!got.Admin.Disabled || got.Admin.Config.Persist == nil || *got.Admin.Config.Persist) {
			t.Errorf("%s: it leaves the admin endpoint on, or persists", name)
		}
		proxies := 0
		for _, server := range got.Apps.HTTP.Servers {
			if whole && (server.MaxHeaderBytes != 64<<10 || !slices.Contains(server.Protocols, "h1")) {
				t.Errorf("%s: it sets no limit or no protocols: %+v", name, server)
			}
			for _, route := range server.Routes {
				for _, handler := range route.Handle {
					if handler.Handler != "reverse_proxy" {
						continue
					}
					proxies++
					location := handler.Headers.Response.Replace["Location"]
					if from := handler.Transport.NetworkProxy.From; from != "none" {
						t.Errorf("%s: network_proxy %q", name, from)
					}
					if host := handler.Headers.Request.Set["Host"]; !slices.Equal(host, []string{"{http.reverse_proxy.upstream.hostport}"}) {
						t.Errorf("%s: header_up Host %q", name, host)
					}
					if len(location) != 1 || location[0]["replace"] != "//{http.request.hostport}$1" ||
						location[0]["search_regexp"] != `(?i)^(?:https?:)?//\Q{http.reverse_proxy.upstream.hostport}\E([/?#]|$)` {
						t.Errorf("%s: header_down Location %q", name, location)
					}
				}
			}
		}
		if proxies != 1 {
			t.Errorf("%s: %d proxies", name, proxies)
		}
	}
}
