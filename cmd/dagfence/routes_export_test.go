package main

// CompareRoutes is what dagfence routes --compare does.
var CompareRoutes = compareRoutes
