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

// The Task SDK took a denial for absence since it asks the Execution API as one
// of its secrets backends (airflow/sdk/execution_time/secrets/execution_api.py,
// 1.1.1), until the release that stops at it. Before, it asked the Execution
// API behind all backends, and a denial was an error.
var (
	fallsThroughSince = []int{1, 1, 1}
	denialsAreFinal   = []int{1, 2, 2} // its release candidates too
)

// otherSDK stands for a version in between that is not known here.
const otherSDK = "other"

// fallingThrough are the releases in between, on PyPI: the label sdk_version.
var fallingThrough = []string{
	"1.1.1", "1.1.2", "1.1.3", "1.1.4", "1.1.5", "1.1.6", "1.1.7", "1.1.8", "1.2.0", "1.2.1", otherSDK,
}

// taskSDK is how a Task SDK names itself (airflow/sdk/api/client.py); what
// makes a version a pre-release stands behind its three numbers.
var taskSDK = regexp.MustCompile(`^apache-airflow-task-sdk/(\d{1,4})\.(\d{1,4})\.(\d{1,4})`)

// sdkFallingThrough gives the label of a Task SDK that goes on to its next
// secrets backend when it is denied. Of what else a client may be, nothing is
// known.
func sdkFallingThrough(userAgent string) (label string, falls bool) {
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
	if !slices.Contains(fallingThrough, label) {
		return otherSDK, true
	}
	return label, true
}

// notHonoured is what is known of one of those releases.
type notHonoured struct {
	prometheus.Counter
	warned sync.Once
}

// newNotHonoured registers a counter for each of them: from 0, so that the
// first denial is an increase.
func newNotHonoured(registry *prometheus.Registry) (map[string]*notHonoured, error) {
	denials, err := registered(registry, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dagfence_denials_not_honoured_total",
		Help: "Denied variables and connections that the client's Task SDK takes for absent: it asks its next secrets backend.",
	}, []string{"sdk_version"}))
	byVersion := make(map[string]*notHonoured)
	for _, version := range fallingThrough {
		byVersion[version] = &notHonoured{Counter: denials.WithLabelValues(version)}
	}
	return byVersion, err
}

// recordNotHonoured counts a denied read of a variable or connection by a Task
// SDK that does not stop there, and says once for each of its releases what to
// do about it.
func (h *Handler) recordNotHonoured(r *http.Request, j *judged) {
	if j.refusal != nil || j.Outcome != decide.Deny || j.Reading == nil || j.Reading.Route.Action != route.Read {
		return
	}
	if kind := j.kind(); kind != route.Variable && kind != route.Connection {
		return
	}
	version, falls := sdkFallingThrough(r.UserAgent())
	if !falls {
		return
	}
	denials := h.metrics.notHonoured[version]
	denials.Inc()
	denials.warned.Do(func() {
		h.logger.Warn("a worker's Task SDK takes a denial for absence and asks its next secrets backend: "+
			"upgrade the worker to Airflow 3.2.2 (apache-airflow-task-sdk 1.2.2) or later",
			zap.String("sdk_version", version), zap.String("user_agent", clip(r.UserAgent())), zap.String("remote", r.RemoteAddr))
	})
}
