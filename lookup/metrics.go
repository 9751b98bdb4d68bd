package lookup

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dagfence/dagfence/resolver"
)

// metrics are the service's; their label sets are closed.
type metrics struct {
	registry      *prometheus.Registry
	duration      *prometheus.HistogramVec
	questions     *prometheus.CounterVec
	invalidations *prometheus.CounterVec
}

func newMetrics(d directory) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "dagfence_lookup_request_duration_seconds",
			Help:    "Time to answer all questions of one request, by their worst outcome.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5},
		}, []string{"source", "outcome"}),
		questions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dagfence_lookup_questions_total",
			Help: "Questions answered, by kind and outcome.",
		}, []string{"kind", "outcome"}),
		invalidations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "dagfence_invalidations_total",
			Help: "Keys invalidated in every cache, by cause.",
		}, []string{"cause"}),
	}
	m.registry.MustRegister(ReadyGauge(d.Ready), OwnershipFileGauge(d.OwnershipError), m.duration, m.questions, m.invalidations, collectors.NewBuildInfoCollector(),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// readyWithin is how long a scrape waits for readiness: half of Prometheus' own time-out.
const readyWithin = 5 * time.Second

// ReadyGauge returns the metric of readiness: 1 while ready returns nil.
func ReadyGauge(ready func(context.Context) error) prometheus.Collector {
	return errorGauge("dagfence_ready", "1 while /ready answers 200, else 0.", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
		defer cancel()
		return ready(ctx)
	})
}

// OwnershipFileGauge returns the metric of the ownership file: 1 while invalid
// returns nil.
func OwnershipFileGauge(invalid func() error) prometheus.Collector {
	return errorGauge("dagfence_ownership_file_valid",
		"0 while the ownership file is invalid and its last good contents stay in force, else 1.", invalid)
}

// errorGauge is 1 while the function returns nil, else 0.
func errorGauge(name, help string, failed func() error) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
		if failed() != nil {
			return 0
		}
		return 1
	})
}

func (m *metrics) observe(questions []resolver.Question, answers []resolver.Answer, took time.Duration) {
	for i, a := range answers {
		kind := "unknown"
		if questions[i].Kind != 0 {
			kind = questions[i].Kind.String()
		}
		m.questions.WithLabelValues(kind, a.Outcome.String()).Inc()
	}
	m.duration.WithLabelValues("directory", resolver.Worst(answers).String()).Observe(took.Seconds())
}

// counted counts what the watch invalidates.
func (m *metrics) counted(forget Forget) Forget {
	invalidations := m.invalidations.WithLabelValues("watch")
	return func(ctx context.Context, keys ...resolver.Key) error {
		invalidations.Add(float64(len(keys)))
		return forget(ctx, keys...)
	}
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
