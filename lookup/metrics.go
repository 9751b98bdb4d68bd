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

func newMetrics() *metrics {
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
	m.registry.MustRegister(m.duration, m.questions, m.invalidations, collectors.NewBuildInfoCollector(),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
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
