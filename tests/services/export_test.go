package services

var Reserve = reserve
