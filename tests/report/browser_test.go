package report_test

import (
	"bytes"
	"context"
	"flag"
	"image"
	"image/color"
	_ "image/png" // screenshots
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dagfence/dagfence/tests/services"
)

var update = flag.Bool("update", false, "write the screenshots in docs/images")

// browse opens a URL in headless Chromium with flags, and returns the page as the
// browser has it then, and what the browser logs.
func browse(t *testing.T, url string, flags ...string) (page, log string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	args := append([]string{
		"--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
		"--enable-logging=stderr", "--user-data-dir=" + t.TempDir(), "--virtual-time-budget=2000",
	}, flags...)
	cmd := exec.CommandContext(ctx, chromium(t), append(args, url)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	return out.String(), errs.String()
}

// chromium finds a browser, as scripts/setup does.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium-headless-shell", "chromium", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	services.Missing(t, "no chromium is installed")
	return ""
}

// readerPage shows the text of the report, and how many buttons it has, where no
// script may run.
const readerPage = `<!doctype html><iframe sandbox="allow-same-origin" src="/report.html" width="1200"></iframe><pre></pre><script>
document.querySelector("iframe").addEventListener("load", (event) => {
  const page = event.target.contentDocument;
  document.querySelector("pre").append(page.querySelectorAll("button").length + " buttons, " + page.querySelectorAll("svg rect.refused").length + " bars\n" + page.body.innerText);
});
</script>`

// clickerPage clicks headings of the report, and shows the column then.
const clickerPage = `<!doctype html><iframe src="/report.html"></iframe><pre></pre><script>
document.querySelector("iframe").addEventListener("load", (event) => {
  const table = event.target.contentDocument.querySelector("#groups"), out = document.querySelector("pre");
  const click = (column) => {
    table.tHead.rows[0].cells[column].querySelector("button").click();
    out.append([...table.tBodies[0].rows].map((row) => row.cells[column].textContent).join(",") + " " +
      [...table.tHead.rows[0].cells].map((cell) => cell.getAttribute("aria-sort") ?? "-").join("") + "\n");
  };
  click(0); click(0); click(2); click(2);
});
</script>`

// site serves the report of a fortnight, and the two pages above. asked returns the
// paths that were asked for.
func site(t *testing.T) (url string, asked func() []string) {
	t.Helper()
	report, stderr, code := run(t, nil, "testdata/fortnight.log.gz", "--html", "-")
	if code != 0 {
		t.Fatal(stderr)
	}
	var mu sync.Mutex
	var paths []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		paths = append(paths, r.URL.Path)
		mu.Unlock()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, map[string]string{"/report.html": report, "/clicker.html": clickerPage, "/reader.html": readerPage}[r.URL.Path])
	}))
	t.Cleanup(server.Close)
	return server.URL, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return paths
	}
}

func TestPage_RunsItsScriptAlone(t *testing.T) {
	t.Parallel()
	url, asked := site(t)
	page, log := browse(t, url+"/report.html", "--dump-dom")
	if strings.Count(page, "<button type=\"button\">") != 10 {
		t.Errorf("the script has made no headings to click:\n%.2000s\n%s", page, log)
	}
	// A resource's name in the log is markup that sets the title.
	if !strings.Contains(page, "<title>What the fence denies</title>") || !strings.Contains(page, `&lt;script&gt;document.title="owned"&lt;/script&gt;`) {
		t.Errorf("a name has become markup:\n%.2000s", page)
	}
	if strings.Contains(log, "Content Security Policy") || strings.Contains(log, ":CONSOLE") {
		t.Errorf("the browser complains:\n%s", log)
	}
	for _, path := range asked() {
		if path != "/report.html" && path != "/favicon.ico" {
			t.Errorf("the page loads %s", path)
		}
	}
}

func TestPage_SortsByTheHeadingThatIsClicked(t *testing.T) {
	t.Parallel()
	url, _ := site(t)
	page, log := browse(t, url+"/clicker.html", "--dump-dom")
	for _, want := range []string{
		"1,9,12,14,25,33,96,101,127,412 ascending---------\n", "412,127,101,96,33,25,14,12,9,1 descending---------\n",
		"(no team),(not known),finance,finance,marketing,marketing,ml,ml,ml,platform --ascending-------\n",
		"platform,ml,ml,ml,marketing,marketing,finance,finance,(not known),(no team) --descending-------\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s\n%s", want, page, log)
		}
	}
}

func TestPage_IsReadableWithoutJavaScript(t *testing.T) {
	t.Parallel()
	url, _ := site(t)
	page, log := browse(t, url+"/reader.html", "--dump-dom")
	for _, want := range []string{
		"<pre>0 buttons, 35 bars\n", "marketing\t539\t", "412\t316\tmarketing\tsales\tdag read\tother_team\nAnother team owns it.\t\ncampaign_report (412)\n\t\norders_daily (412)", "access: trigger", "User code that needs it",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in\n%s\n%s", want, page, log)
		}
	}
}

// TestPage_IsLightAndDark takes the screenshots of the documentation.
func TestPage_IsLightAndDark(t *testing.T) {
	t.Parallel()
	url, _ := site(t)
	for _, c := range []struct {
		name, scheme string
		background   color.RGBA
	}{{"light", "1", color.RGBA{255, 255, 255, 255}}, {"dark", "0", color.RGBA{13, 17, 23, 255}}} {
		path := filepath.Join(t.TempDir(), "page.png")
		browse(t, url+"/report.html", "--blink-settings=preferredColorScheme="+c.scheme, "--window-size=1400,1080", "--screenshot="+path)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		shot, _, err := image.Decode(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if r, g, b, a := shot.At(2, 2).RGBA(); shot.Bounds().Dx() != 1400 || (color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), uint8(a >> 8)}) != c.background {
			t.Errorf("%s: the background is %v of %v", c.name, shot.At(2, 2), shot.Bounds())
		}
		if *update {
			if err := os.WriteFile("../../docs/images/report-"+c.name+".png", content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
