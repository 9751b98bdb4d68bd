package caddymodule

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/dagfence/dagfence/caddymodule/decide"
	"github.com/dagfence/dagfence/caddymodule/route"
)

// The Task SDKs that treat a 403 as not found and fall through to the next secrets
// backend: since the Execution API is one of the backends
// (airflow/sdk/execution_time/secrets/execution_api.py, 1.1.1), until the release
// that stops at a denial. Earlier ones ask the Execution API last, and fail.
var (
	fallsThroughSince = []int{1, 1, 1}
	denialsAreFinal   = []int{1, 2, 2} // its release candidates too
)

// otherSDK is the label of an unknown version in between.
const otherSDK = "other"

// ignoringSDKs are the releases in between, on PyPI: the label sdk_version.
var ignoringSDKs = []string{
	"1.1.1", "1.1.2", "1.1.3", "1.1.4", "1.1.5", "1.1.6", "1.1.7", "1.1.8", "1.2.0", "1.2.1", otherSDK,
}

// taskSDK is the User-Agent of a Task SDK (airflow/sdk/api/client.py); the suffix of
// a pre-release follows the three numbers.
var taskSDK = regexp.MustCompile(`^apache-airflow-task-sdk/(\d{1,4})\.(\d{1,4})\.(\d{1,4})`)

// anySDK is the User-Agent of any Task SDK, pre-releases and builds included (PEP 440).
var anySDK = regexp.MustCompile(`^apache-airflow-task-sdk/([0-9][0-9A-Za-z.+!_-]{0,63})(?: |$)`)

// sdkVersion returns the version of a Task SDK, and "" for another client.
func sdkVersion(userAgent string) string {
	if found := anySDK.FindStringSubmatch(userAgent); found != nil {
		return found[1]
	}
	return ""
}

// ignoresDenials reports whether a client is a Task SDK that falls through to its
// next secrets backend when it is denied, and returns its label.
func ignoresDenials(userAgent string) (label string, ignores bool) {
	numbers := taskSDK.FindStringSubmatch(userAgent)
	if numbers == nil {
		return "", false
	}
	version := make([]int, 0, 3)
	for _, number := range numbers[1:] {
		n, _ := strconv.Atoi(number) // four digits at most
		version = append(version, n)
	}
	if slices.Compare(version, fallsThroughSince) < 0 || slices.Compare(version, denialsAreFinal) >= 0 {
		return "", false
	}
	label = fmt.Sprintf("%d.%d.%d", version[0], version[1], version[2])
	if !slices.Contains(ignoringSDKs, label) {
		return otherSDK, true
	}
	return label, true
}

// ignoredDenials counts those of one release.
type ignoredDenials struct {
	prometheus.Counter
	warned sync.Once
}

// newIgnoredDenials registers a counter for each release: from 0, so that the first
// denial is an increase.
func newIgnoredDenials(registry *prometheus.Registry) (map[string]*ignoredDenials, error) {
	denials, err := registered(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dagfence_denials_not_honoured_total",
		Help: "Denied reads of variables and connections by Task SDKs that treat a denial as not found.",
	}, []string{"sdk_version"}))
	byVersion := make(map[string]*ignoredDenials)
	for _, version := range ignoringSDKs {
		byVersion[version] = &ignoredDenials{Counter: denials.WithLabelValues(version)}
	}
	return byVersion, err
}

// recordIgnoredDenial counts a denied read of a variable or connection by a Task SDK
// that ignores denials, and logs the fix once for each of its releases.
func (h *Handler) recordIgnoredDenial(r *http.Request, j *result) {
	if j.refusal != nil || j.Outcome != decide.Deny || j.Reading == nil || j.Reading.Route.Action != route.Read {
		return
	}
	if kind := j.kind(); kind != route.Variable && kind != route.Connection {
		return
	}
	version, ignores := ignoresDenials(r.UserAgent())
	if !ignores {
		return
	}
	denials := h.metrics.ignoredDenials[version]
	denials.Inc()
	denials.warned.Do(func() {
		h.logger.Warn("a worker's Task SDK treats a denial as not found and falls through to its next secrets backend: "+
			"upgrade the worker to Airflow 3.2.2 (apache-airflow-task-sdk 1.2.2) or later",
			zap.String("sdk_version", version), zap.String("user_agent", clip(r.UserAgent())), zap.String("remote", r.RemoteAddr))
	})
}
