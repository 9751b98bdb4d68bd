package airflow_test

import (
	"slices"
	"testing"
)

// status is what the release answers straight to a cell's request.
func (airflow *release) status(c cell) int {
	if status, differs := newer[c.name]; differs && airflow.version == upcoming {
		return status
	}
	if i := slices.Index(releases, airflow.version); i < len(older[c.name]) && older[c.name][i] != 0 {
		return older[c.name][i]
	}
	return c.straight
}

func TestMatrix_OlderReleasesDifferOnlyInKnownCells(t *testing.T) {
	t.Parallel()
	named := make(map[string]cell)
	for _, c := range matrix() {
		named[c.name] = c
	}
	differs := func(name string, statuses ...int) {
		if c, ok := named[name]; !ok || slices.Contains(statuses, c.straight) {
			t.Errorf("%q: %v is no difference from %d", name, statuses, c.straight)
		}
	}
	for name, statuses := range older {
		differs(name, statuses[:]...)
	}
	for name, status := range newer {
		differs(name, status)
	}
}

// older has the cells that 3.0.6, 3.1.8 or 3.2.2 answer otherwise than the
// latest release does, straight; 0 where they do not. What the fence makes of a
// cell is the same for all.
var older = map[string][3]int{
	"with a slash":                                             {404, 0, 0},
	"with an encoded slash":                                    {404, 0, 0},
	"a variable of the other team":                             {200, 200, 0},
	"the other way round":                                      {200, 200, 0},
	"the other team's with a slash":                            {0, 200, 0},
	"the other team's with an encoded slash":                   {0, 200, 0},
	"the other team's needlessly encoded":                      {200, 200, 0},
	"the other team's with a percent sign":                     {200, 200, 0},
	"the own team's environment":                               {404, 404, 0},
	"the other team's environment by its full name":            {200, 200, 200},
	"a team's variable for a teamless task":                    {200, 200, 0},
	"a variable of the own team for an attempt up for retry":   {200, 200, 0},
	"a variable of the other team for an attempt up for retry": {200, 200, 0},
	"a team's variable for an unknown task":                    {200, 200, 0},
	"the list of keys with no limit at all":                    {200, 200, 200},
	"writing one with a slash":                                 {404, 0, 0},
	"writing the other team's with a slash":                    {404, 0, 0},
	"a connection of the other team":                           {200, 200, 0},
	"a connection the other way round":                         {200, 200, 0},
	"a team's connection for a teamless task":                  {200, 200, 0},
	"an XCom's key with a slash":                               {404, 0, 0},
	"an XCom's key with an encoded slash":                      {404, 0, 0},
	"an XCom of the other team":                                {200, 200, 200},
	"an XCom the other way round":                              {200, 200, 200},
	"the count of the other team's XComs":                      {200, 200, 200},
	"the other team's XCom by index":                           {200, 200, 200},
	"the other team's XComs by slice":                          {200, 200, 200},
	"an XCom of a team for a teamless task":                    {200, 200, 200},
	"an XCom of the team for an attempt up for retry":          {200, 200, 200},
	"writing an own XCom with a slash in its key":              {404, 0, 0},
	"writing a global dag's XCom":                              {201, 201, 201},
	"writing the other team's XCom":                            {201, 201, 201},
	"writing an unknown dag's XCom":                            {404, 404, 404},
	"writing a team's XCom from a teamless task":               {201, 201, 201},
	"writing an own XCom from an attempt up for retry":         {201, 201, 201},
	"deleting the other team's XCom":                           {200, 200, 200},
	"the own dag":                                              {404, 404, 0},
	"another dag of the team":                                  {404, 404, 0},
	"a global dag":                                             {404, 404, 0},
	"the other team's dag":                                     {404, 404, 0},
	"a team's dag for a teamless task":                         {404, 404, 0},
	"a global dag for an unknown task":                         {404, 404, 0},
	"a run of the own dag":                                     {405, 405, 0},
	"a run of a global dag":                                    {405, 405, 0},
	"a run of the other team's dag":                            {405, 405, 0},
	"a run that does not exist":                                {405, 405, 0},
	"a run of an unknown dag":                                  {405, 405, 0},
	"the previous run":                                         {404, 404, 0},
	"the other team's previous run":                            {404, 404, 0},
	"an unknown dag's previous run":                            {404, 404, 0},
	"a run named previous":                                     {200, 200, 0},
	"a run named previous of the other team":                   {200, 200, 0},
	"the previous task instance":                               {404, 404, 0},
	"the other team's previous task instance":                  {404, 404, 0},
	"breadcrumbs":                                              {404, 404, 0},
	"the other team's breadcrumbs":                             {404, 404, 0},
	"breadcrumbs of a global dag":                              {404, 404, 0},
	"assets by alias":                                          {404, 404, 404},
	"a granted dag":                                            {404, 404, 0},
	"a run of a granted dag":                                   {405, 405, 0},
	"an XCom of a granted dag":                                 {200, 200, 200},
	"writing an XCom of a granted dag":                         {201, 201, 201},
	"storing a value of a granted asset":                       {404, 404, 404},
	"storing a value of an asset":                              {404, 404, 404},
	"deleting the stored values of an asset":                   {404, 404, 404},
	"a heartbeat of an attempt up for retry":                   {404, 404, 0},
	"a workload token elsewhere":                               {200, 200, 0},
	"a workload token for a heartbeat":                         {204, 204, 0},
	"an execution token for a connection test":                 {404, 404, 404},
	"a rendered map index":                                     {404, 404, 0},
	"another's first reschedule":                               {200, 200, 200},
	"asking a human":                                           {404, 0, 0},
	"asking a human for another task":                          {404, 0, 0},
	"storing a value":                                          {404, 404, 404},
	"storing a value for another task":                         {404, 404, 404},
	"deleting what another task stored":                        {404, 404, 404},
	"a scope that Airflow does not know":                       {200, 200, 0},
	"a subject that is no UUID":                                {403, 403, 0},
	"a version between two for the other team":                 {200, 200, 0},
}

// newer has the cells that the upcoming release answers otherwise, straight.
var newer = map[string]int{
	"writing from an unknown task":                        404,
	"deleting from an unknown task":                       404,
	"writing a new variable from an attempt up for retry": 410,
	"writing at a map index that the task has not":        404,
	"writing at none from a mapped task":                  404,
	"writing an own XCom from an attempt up for retry":    410,
	"writing an XCom from an unknown task":                404,
	"triggering from an unknown task":                     404,
}
