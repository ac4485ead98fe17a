console.log('Nothing here yet.');
